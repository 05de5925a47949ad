// The innermost loops of LayerNormalization's gradient. layer_normalization_loops.cc is compiled
// once for each instruction set that a processor may have.
#pragma once

#include <cstddef>

#include "cpu/virtual_gradient_loops.h"

namespace svgd {

// A row of `count` numbers, of which n = (x - mean) inverse.
struct NormalizedRow {
  const float* dy;
  const float* x;
  size_t count;
  float mean;
  float inverse;
};

struct LayerNormalizationLoops {
  // dx = inverse (g - the mean of g - n times the mean of g n) for g = dy scale, d_scale += dy n,
  // d_shift += dy; dx may be dy.
  void (*gradient)(const NormalizedRow& row, const float* scale, float* dx, float* d_scale,
                   float* d_shift);
};

const LayerNormalizationLoops& LoopsOfLayerNormalization(InstructionSet instruction_set);

}  // namespace svgd
