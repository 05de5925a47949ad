// LayerNormalization's gradient. Nothing here knows of onnxruntime.
#pragma once

#include <cstddef>

#include "cpu/tasks.h"

namespace svgd {

struct LayerNormalizationGradientInputs {
  const float* dy;       // (rows, width)
  const float* x;        // (rows, width)
  const float* scale;    // (width)
  const float* mean;     // of x, for each row
  const float* inverse;  // 1 / its standard deviation
};

struct LayerNormalizationGradientOutputs {
  float* dx;  // may be dy
  float* d_scale;
  float* d_shift;
};

// d_scale = sum dy n, d_shift = sum dy over rows, and dx = inverse (g - mean(g) - n mean(g n)) with
// the means of a row, for n = (x - mean) inverse and g = dy scale.
//
// The result does not depend on the number of threads nor on the processor's instruction set, bit
// for bit.
void LayerNormalizationGradient(const LayerNormalizationGradientInputs& in,
                                const LayerNormalizationGradientOutputs& out, size_t rows,
                                size_t width, const Threads& threads);

}  // namespace svgd
