// Convolution and its gradients on arrays in the processor's memory, channels last. Nothing here
// knows of onnxruntime.
#pragma once

#include <cstddef>

#include "convolution.h"
#include "cpu/convolution/weight_gradient.h"
#include "cpu/tasks.h"

namespace svgd {

// Results follow from the shape and the processor's instruction set, bit for bit, whatever the
// threads: each sum has an order of its own. Multiplications are fused with additions where the
// instruction set has that, so results differ between sets within rounding.
//
// Each needs memory to work in, of so many numbers. They throw bad_alloc.

size_t ConvolutionWorkspace(const ConvolutionShape& shape,
                            const convolution::LoopsOfSet& loops = convolution::WidestLoops());
size_t ConvolutionInputGradientWorkspace(
    const ConvolutionShape& shape,
    const convolution::LoopsOfSet& loops = convolution::WidestLoops());
size_t ConvolutionWeightGradientWorkspace(
    const ConvolutionShape& shape,
    const convolution::LoopsOfSet& loops = convolution::WidestLoops());

// bias, one for each output channel, may be null.
void Convolution(const float* x, const float* weights, const float* bias, float* y,
                 const ConvolutionShape& shape, float* workspace, const Threads& threads,
                 const convolution::LoopsOfSet& loops = convolution::WidestLoops());

void ConvolutionInputGradient(const float* dy, const float* weights, float* dx,
                              const ConvolutionShape& shape, float* workspace,
                              const Threads& threads,
                              const convolution::LoopsOfSet& loops = convolution::WidestLoops());

// db may be null; else it gets the sums of dY times the factor, the bias' gradient.
void ConvolutionWeightGradient(const float* dy, const convolution::Factor& factor, const float* x,
                               float* dw, float* db, const ConvolutionShape& shape,
                               float* workspace, const Threads& threads,
                               const convolution::LoopsOfSet& loops = convolution::WidestLoops());

}  // namespace svgd
