// MatrixProduct for the CPU execution provider.
#pragma once

#include <vector>

#include "op.h"

namespace svgd {

std::vector<OpDefinition> MatrixProductCpu();

}  // namespace svgd
