// The operators for the CPU execution provider.
#pragma once

#include <vector>

#include "virtual_gradient_op.h"

namespace svgd {

std::vector<Op> CpuOps(const OrtApi& api);

}  // namespace svgd
