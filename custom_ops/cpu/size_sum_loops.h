// The innermost loops of FiniteLoss, sums of sizes. size_sum_loops.cc is compiled once for each
// instruction set that a processor may have.
#pragma once

#include <cstddef>

#include "cpu/instruction_set.h"

namespace svgd {

struct SizeSumLoops {
  // the sum of |x|
  float (*sizes)(const float* x, size_t count);

  // the sum of x^2
  float (*squares)(const float* x, size_t count);
};

const SizeSumLoops& LoopsOfSizeSum(InstructionSet instruction_set);

}  // namespace svgd
