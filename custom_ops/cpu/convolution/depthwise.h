// Convolutions of which each output channel sees its own input channel only: a vector is channels
// side by side, and nothing is summed over channels.
#pragma once

#include <cstddef>
#include <vector>

#include "convolution.h"
#include "cpu/convolution/loops.h"
#include "cpu/convolution/pass.h"
#include "cpu/convolution/weight_gradient.h"
#include "cpu/tasks.h"

namespace svgd::convolution {

// Numbers that the packed weights of the passes take.
size_t DepthwiseWeights(const std::vector<Pass>& passes, const LoopsOfSet& loops);

// As RunPasses.
void RunDepthwise(const std::vector<Pass>& passes, const float* in, const float* weights,
                  const float* bias, float* out, float* packed, const LoopsOfSet& loops,
                  const Threads& threads);

// As WeightGradientSums and RunWeightGradient.
size_t DepthwiseSums(const ConvolutionShape& shape, const LoopsOfSet& loops);
void RunDepthwiseWeightGradient(const float* dy, const Factor& factor, const float* x, float* dw,
                                float* db, const ConvolutionShape& shape, float* sums,
                                const LoopsOfSet& loops, const Threads& threads);

}  // namespace svgd::convolution
