// What has to be finite for an operator to change anything.
#pragma once

#include <cmath>

#include "op.h"
#include "status.h"

namespace svgd {

// Whether an input that is one number, if it is there, is finite.
inline bool IsFinite(const RunContext& context, size_t input) {
  if (context.inputs() <= input || context.Input(input) == nullptr) return true;
  if (context.InputSize(input) != 1) throw Refusal("the guard is not one number.");
  return std::isfinite(*context.InputData<float>(input));
}

}  // namespace svgd
