// The operators for the CUDA execution provider.
#pragma once

#include <vector>

#include "virtual_gradient_op.h"

namespace svgd {

std::vector<Op> CudaOps(const OrtApi& api);

}  // namespace svgd
