// The innermost loops of the gradients of Softmax and of the cross-entropy of it.
// softmax_gradient_loops.cc is compiled once for each instruction set that a processor may have.
#pragma once

#include <cstddef>

#include "cpu/virtual_gradient_loops.h"

namespace svgd {

// Of a row of `count` numbers.
struct SoftmaxGradientLoops {
  // dx = scale y (dy - the sum of dy y); dx may be dy
  void (*softmax)(const float* dy, const float* y, float* dx, size_t count, float scale);

  // dx = factor e^log_y
  void (*exponential)(const float* log_y, float* dx, size_t count, float factor);
};

const SoftmaxGradientLoops& LoopsOfSoftmaxGradient(InstructionSet instruction_set);

}  // namespace svgd
