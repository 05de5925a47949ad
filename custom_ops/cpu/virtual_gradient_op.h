// ai.svgd::VirtualGradient for the CPU execution provider.
#pragma once

#include "onnxruntime_abi.h"

namespace svgd {

// Inputs dY (N, ...) and r (...); outputs T(dY) (N, ...) and the new r (...); all float32.
// Attributes rho, epsilon and scale. The new r lies where r lies; T(dY) may lie where dY lies.
const OrtCustomOp* VirtualGradientCpu(const OrtApi& api);

}  // namespace svgd
