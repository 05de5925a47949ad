// The gradient of a convolution's weights: for each element of the kernel, the product of what it
// saw of X with dY, summed over pixels.
#pragma once

#include <cstddef>

#include "convolution.h"
#include "cpu/convolution/loops.h"
#include "cpu/tasks.h"

namespace svgd::convolution {

// What dY is multiplied by while it is read: null, or a number for each of dY's channels, or one
// for each element of an example.
struct Factor {
  const float* numbers;
  bool of_channels;
};

// Numbers that the partial sums take.
size_t WeightGradientSums(const ConvolutionShape& shape, const LoopsOfSet& loops);

// Where `db` is not null it gets the sums of dY times the factor, the bias' gradient.
void RunWeightGradient(const float* dy, const Factor& factor, const float* x, float* dw, float* db,
                       const ConvolutionShape& shape, float* sums, const LoopsOfSet& loops,
                       const Threads& threads);

}  // namespace svgd::convolution
