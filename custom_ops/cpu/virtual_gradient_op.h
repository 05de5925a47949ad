// ai.svgd::VirtualGradient and ai.svgd::GradientFactor for the CPU execution provider.
#pragma once

#include <vector>

#include "onnxruntime_abi.h"

namespace svgd {

// VirtualGradient: inputs dY (N, ...) and r; outputs T(dY) (N, ...) and the new r. T(dY) may lie
// where dY lies. GradientFactor: the same inputs; outputs the factor of dY in T, of r's shape, and
// the new r. The new r lies where r lies. r is (...), or (C) with the attribute channel_axis. dY is
// float, double, float16 or bfloat16; r is double for double, else float. Attributes rho, epsilon,
// scale, channel_axis and per_example.
std::vector<const OrtCustomOp*> CpuOps(const OrtApi& api);

}  // namespace svgd
