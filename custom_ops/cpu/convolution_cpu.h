// Convolution and its gradients for the CPU execution provider, float, channels last. Attributes
// are those of ONNX Conv (group, kernel_shape, strides, dilations, pads); weights lie as ONNX has
// them, (M, C / group, kernel...).
//
//   Convolution(X, W, B?) -> Y
//   ConvolutionInputGradient(dY, W, shape) -> dX, `shape` being dX's, int64
//   ConvolutionWeightGradient(dY, X, factor?) -> (dW, dB?), with kernel_shape; dY is multiplied by
//     the factor, (M) or (sizes..., M), on its way, for dB too
#pragma once

#include <vector>

#include "op.h"

namespace svgd {

std::vector<OpDefinition> ConvolutionCpu();

}  // namespace svgd
