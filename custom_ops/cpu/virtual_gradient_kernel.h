// T on arrays in the processor's memory. Nothing here knows of onnxruntime.
#pragma once

#include "cpu/parallel.h"
#include "virtual_gradient.h"

namespace svgd {

// r_new[c] = rho r[c] + (1 - rho) mean over outer and inner of (batch_factor dy[o, c, i])^2
// out[o, c, i] = dy[o, c, i] * scale / sqrt(r_new[c] + epsilon)
//
// Element is float, double, Float16 or BFloat16. out may be dy, and r_new may be r. Where there is
// nothing to average over, r stays as it is. With `out` null, only `factors` (channels) is written,
// scale / sqrt(r_new[c] + epsilon); else `factors` may be null. Where `sums` (channels) is not
// null, it gets the sum of dy over outer; `inner` is 1 then.
//
// The result does not depend on the number of threads nor on the processor's instruction set, bit
// for bit: each sum has an order that follows from the shape alone, partial sums are added up in
// order, and no multiplication is fused with an addition.
template <typename Element>
void VirtualGradient(const Element* dy, const Compute<Element>* r, Element* out,
                     Compute<Element>* r_new, Compute<Element>* factors,
                     const VirtualGradientShape& shape, const VirtualGradientAttributes& attributes,
                     ParallelFor parallel_for, void* context, Compute<Element>* sums = nullptr);

}  // namespace svgd
