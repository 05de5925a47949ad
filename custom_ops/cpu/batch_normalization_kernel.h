// BatchNormalization over a batch, with channels last, on arrays in the processor's memory. Nothing
// here knows of onnxruntime.
#pragma once

#include <cstddef>

#include "cpu/tasks.h"

namespace svgd {

// x (rows, channels), C contiguous.
struct NormalizedShape {
  size_t rows, channels;
};

struct NormalizationInputs {
  const float* x;
  const float* scale;
  const float* shift;
  const float* running_mean;
  const float* running_variance;
  const float* residual;  // as x; null where nothing is added
};

struct NormalizationOutputs {
  float* y;
  float* running_mean;      // may be the input
  float* running_variance;  // may be the input
  float* mean;
  float* inverse;  // 1 / sqrt(variance + epsilon)
};

struct NormalizationAttributes {
  float epsilon, momentum;
  bool relu;
};

// y = (x - mean) inverse scale + shift, or with `relu` the larger of that, the residual added to
// it, and 0, for the mean and the variance (of all rows, by their number) of each channel; the new
// running mean is momentum * old + (1 - momentum) * mean, and so the variance.
//
// Like all here, the result does not depend on the number of threads nor on the processor's
// instruction set, bit for bit.
void BatchNormalization(const NormalizationInputs& in, const NormalizationOutputs& out,
                        const NormalizedShape& shape, const NormalizationAttributes& attributes,
                        const Threads& threads);

struct NormalizationGradientInputs {
  const float* dy;
  const float* x;
  const float* scale;
  const float* mean;
  const float* inverse;
  const float* shift;  // null where nothing is masked, or by y
  const float* y;      // null where nothing is masked, or by what x and the shift say
};

struct NormalizationGradientOutputs {
  float* dx;  // may be dy
  float* d_scale;
  float* d_shift;
  float* masked;  // g, the gradient of the residual; null where y is
};

// d_shift = sum g, d_scale = sum g n, dx = scale inverse (g - d_shift / rows - n d_scale / rows),
// for n = (x - mean) inverse and g = dy, or with a shift or y dy where y > 0, else 0.
void BatchNormalizationGradient(const NormalizationGradientInputs& in,
                                const NormalizationGradientOutputs& out,
                                const NormalizedShape& shape, const Threads& threads);

}  // namespace svgd
