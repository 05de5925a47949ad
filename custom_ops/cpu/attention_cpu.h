// ScaledDotProductAttention and its gradient for the CPU execution provider.
#pragma once

#include <vector>

#include "op.h"

namespace svgd {

std::vector<OpDefinition> AttentionCpu();

}  // namespace svgd
