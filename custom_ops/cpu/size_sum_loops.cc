// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is.
#include "cpu/size_sum_loops.h"

#include <math.h>

#include "cpu/lane_sums.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

float Sizes(const float* x, size_t count) {
  return LaneSum(count, [=](size_t i) { return fabsf(x[i]); });
}

float Squares(const float* x, size_t count) {
  return LaneSum(count, [=](size_t i) { return x[i] * x[i]; });
}

}  // namespace

extern const SizeSumLoops kSizeSum = {Sizes, Squares};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
