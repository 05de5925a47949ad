// The innermost loops of AdaptiveDescent. adaptive_descent_loops.cc is compiled once for each
// instruction set that a processor may have.
#pragma once

#include <cstddef>

#include "cpu/instruction_set.h"

namespace svgd {

// A moment m of x becomes beta m + rest x; it is divided by `correction` where it is used.
struct Moment {
  float beta = 0, rest = 0, correction = 1;
};

struct AdaptiveStep {
  Moment first, second;
  float stability = 0, weight_decay = 0, rate = 0;
};

// Numbers before a step, and where those after it lie. Without the first moments, which both are
// null then, the gradient is in their place.
struct AdaptiveNumbers {
  const float *parameter, *gradient, *first, *second;
  float *new_parameter, *new_first, *new_second;
};

struct AdaptiveDescentLoops {
  void (*descend)(const AdaptiveStep& step, const AdaptiveNumbers& numbers, size_t begin,
                  size_t end);
};

const AdaptiveDescentLoops& LoopsOfAdaptiveDescent(InstructionSet instruction_set);

}  // namespace svgd
