// What a task of a weight gradient does: the sums of some channels of X with some panels of dY,
// over a part of the pixels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/convolution/loops.h"
#include "cpu/convolution/weight_gradient.h"
#include "cpu/convolution/weight_gradient_plan.h"
#include "cpu/prefetch.h"

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
  // With the sums of dY itself, or without.
  void Run(const float* dy, const Factor& factor, const float* x, bool sum_gradient, float* sums);

 private:
  float* Sum(size_t panel, size_t number) const;
  void Clear() const;
  void CopyGradient(const float* dy, const Factor& factor) const;
  void CopyInput(const float* x, int64_t tap_plane, const Copied& rows,
                 const Copied& columns) const;
  void CopyRow(const float* row, const Copied& columns, float* to) const;
  void ExpectNext(const GradientBlock& next, const float* dy, const float* x);
  void SumGradient();
  void SumWindow(const float* x);
  void SumTaps(const float* x);
  void SumRun(WeightTile tile, size_t panel, size_t number, size_t length, const Range& rows,
              const Range& columns);

  const WeightGradientPlan& plan_;
  const ConvolutionShape& shape_;
  size_t slice_, group_, part_;
  size_t channel_, channels_;
  size_t panel_, panels_;
  GradientBlock block_{};
  Prefetch next_dy_, next_x_;  // of the next block
  size_t lines_ = 0;           // of these that are asked for beside a tile
  float* dy_;                  // of the block, its panels one behind the other
  float* x_;                   // what the block sees of the slice
  float* sums_ = nullptr;
};

}  // namespace svgd::convolution
