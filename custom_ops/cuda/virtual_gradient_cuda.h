// T for the CUDA execution provider.
#pragma once

#include <vector>

#include "op.h"

namespace svgd {

std::vector<OpDefinition> VirtualGradientCuda();

}  // namespace svgd
