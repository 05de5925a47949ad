// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is.
#include "cpu/softmax_gradient_loops.h"

#include "cpu/exponential.h"
#include "cpu/independent.h"
#include "cpu/lane_sums.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

void Softmax(const float* dy, const float* y, float* dx, size_t count, float scale) {
  const float sum = LaneSum(count, [=](size_t i) { return dy[i] * y[i]; });
  SVGD_INDEPENDENT
  for (size_t i = 0; i < count; ++i) dx[i] = scale * (y[i] * (dy[i] - sum));
}

void Exponential(const float* log_y, float* dx, size_t count, float factor) {
  SVGD_INDEPENDENT
  for (size_t i = 0; i < count; ++i) dx[i] = factor * ExponentialOfNegative(log_y[i]);
}

}  // namespace

extern const SoftmaxGradientLoops kSoftmaxGradient = {Softmax, Exponential};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
