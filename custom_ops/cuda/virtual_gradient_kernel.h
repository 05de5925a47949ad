// T on arrays in the memory of a CUDA device. Nothing here knows of onnxruntime.
#pragma once

#include <cuda_runtime_api.h>

#include "virtual_gradient.h"

namespace svgd {

// Bytes of device memory that VirtualGradientCuda needs beside its arrays; often 0.
template <typename Element>
size_t WorkspaceBytes(const VirtualGradientShape& shape);

// As VirtualGradient of cpu/virtual_gradient_kernel.h, on `stream`: it neither allocates nor waits.
// All pointers are device memory; `workspace` has WorkspaceBytes. Returns the error of a launch.
//
// The result is the same bit for bit at every run and on every device: how the work is cut follows
// from the shape and the alignment of the arrays alone, and every sum has a fixed order.
template <typename Element>
cudaError_t VirtualGradientCuda(const Element* dy, const Compute<Element>* r, Element* out,
                                Compute<Element>* r_new, Compute<Element>* factors,
                                const VirtualGradientShape& shape,
                                const VirtualGradientAttributes& attributes, void* workspace,
                                cudaStream_t stream);

}  // namespace svgd
