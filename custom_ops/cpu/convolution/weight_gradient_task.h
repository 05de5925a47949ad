// What a task of a weight gradient does: the sums of some channels of X with some panels of dY,
// over a part of the pixels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/convolution/loops.h"
#include "cpu/convolution/weight_gradient.h"
#include "cpu/convolution/weight_gradient_plan.h"

namespace svgd::convolution {

// Which of an input axis' coordinates are copied: first + i * step.
struct Copied {
  int64_t first, step;
  size_t count;
};

// Of the rows or columns of a block.
struct Range {
  size_t begin, count;
};

class WeightGradientTask {
 public:
  WeightGradientTask(const WeightGradientPlan& plan, size_t index);
  void Run(const float* dy, const Factor& factor, const float* x, float* sums);

 private:
  float* Sum(size_t panel, size_t number) const;
  void Clear() const;
  void CopyGradient(const float* dy, const Factor& factor) const;
  void CopyInput(const float* x, int64_t tap_plane, const Copied& rows,
                 const Copied& columns) const;
  void CopyRow(const float* row, const Copied& columns, float* to) const;
  void SumGradient() const;
  void SumWindow(const float* x) const;
  void SumTaps(const float* x) const;
  void SumRun(WeightTile tile, size_t panel, size_t number, size_t length, const Range& rows,
              const Range& columns) const;

  const WeightGradientPlan& plan_;
  const ConvolutionShape& shape_;
  size_t slice_, group_, part_;
  size_t channel_, channels_;
  size_t panel_, panels_;
  GradientBlock block_{};
  float* dy_;  // of the block, its panels one behind the other
  float* x_;   // what the block sees of the slice
  float* sums_ = nullptr;
};

}  // namespace svgd::convolution
