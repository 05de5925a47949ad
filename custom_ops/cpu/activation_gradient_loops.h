// The innermost loops of activations' gradients. activation_gradient_loops.cc is compiled once for
// each instruction set that a processor may have.
#pragma once

#include <cstddef>

#include "cpu/virtual_gradient_loops.h"

namespace svgd {

// dx may be dy.
struct ActivationGradientLoops {
  // Of Gelu(x) = x times the cumulative normal distribution at x.
  void (*gelu)(const float* dy, const float* x, float* dx, size_t count);

  // Of x times the logistic function at x (linear + cubic x^2): Gelu by tanh, and QuickGelu.
  void (*logistic)(const float* dy, const float* x, float* dx, size_t count, float linear,
                   float cubic);
};

const ActivationGradientLoops& LoopsOfActivationGradient(InstructionSet instruction_set);

}  // namespace svgd
