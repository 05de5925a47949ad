// The attributes of a convolution, and what they make of its tensors' shapes.
#pragma once

#include <cstdint>
#include <vector>

#include "attributes.h"
#include "convolution.h"
#include "shape.h"
#include "shape_inference.h"

namespace svgd {

// group, kernel_shape, strides, dilations and pads as ONNX Conv has them; those that are absent
// are 1, W's, 1, 1 and 0. Throws a Refusal for what no convolution can have.
class ConvolutionSettings {
 public:
  explicit ConvolutionSettings(const Attributes& attributes);

  const std::vector<int64_t>& kernel_shape() const { return kernel_shape_; }
  int64_t group() const { return group_; }

  // X is (N, sizes..., C) with one to three sizes, W is (M, C / group, kernel...). Throws a Refusal
  // where they do not fit.
  ConvolutionShape Fit(const Shape& x, const Shape& w) const;

  // The sizes of Y for X's before its run, and the other way round where the stride is 1; those
  // that do not follow are not known.
  SymbolicShape OutSizes(const SymbolicShape& x, const SymbolicShape& w) const;
  SymbolicShape InSizes(const SymbolicShape& dy, const SymbolicShape& w) const;

 private:
  ConvolutionAxis Axis(size_t index, int64_t kernel) const;
  int64_t PadAfter(size_t index, size_t axes) const;

  int64_t group_;
  std::vector<int64_t> kernel_shape_, strides_, dilations_, pads_;
};

// Y's shape, channels last, for as many axes as X has.
Shape OutShape(const ConvolutionShape& shape, size_t axes);

}  // namespace svgd
