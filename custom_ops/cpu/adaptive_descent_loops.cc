// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is.
#include "cpu/adaptive_descent_loops.h"

#include <math.h>

#include "cpu/independent.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

// Each number is rounded as by the operators of ONNX that say the same. The new parameters may lie
// where the gradient lies.
template <bool kFirst>
void Descend(const AdaptiveStep& step, const AdaptiveNumbers& x, size_t begin, size_t end) {
  const AdaptiveStep s = step;
  SVGD_INDEPENDENT
  for (size_t i = begin; i < end; ++i) {
    const float gradient = x.gradient[i];
    const float second = x.second[i] * s.second.beta + gradient * gradient * s.second.rest;
    float upper = gradient;
    if (kFirst) {
      const float first = x.first[i] * s.first.beta + gradient * s.first.rest;
      x.new_first[i] = first;
      upper = first / s.first.correction;
    }
    x.new_second[i] = second;
    float direction = upper / (sqrtf(second / s.second.correction) + s.stability);
    if (s.weight_decay != 0) direction += x.parameter[i] * s.weight_decay;
    x.new_parameter[i] = x.parameter[i] - s.rate * direction;
  }
}

void AnyDescend(const AdaptiveStep& step, const AdaptiveNumbers& numbers, size_t begin,
                size_t end) {
  (numbers.first == nullptr ? Descend<false> : Descend<true>)(step, numbers, begin, end);
}

}  // namespace

extern const AdaptiveDescentLoops kAdaptiveDescent = {AnyDescend};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
