// T, the operator of SVGD, on plain arrays. Nothing here knows of onnxruntime.
#pragma once

#include <cstddef>

#include "cpu/element_types.h"

namespace svgd {

// Hyper-parameters of T (arXiv 1907.04021, Algorithm 1).
struct VirtualGradientAttributes {
  float rho;      // decay of r, in [0, 1)
  float epsilon;  // > 0
  float scale;    // s, > 0
  // Factor of dy in r: 1 for the gradient as it stands, the size of the batch for the gradient of
  // each example's loss.
  float gradient_factor;
};

// dy and out are (outer, channels, inner), r and r_new are (channels), all row-major. An r for each
// element has inner 1 and a channel for each element of an example.
struct VirtualGradientShape {
  size_t outer;
  size_t channels;
  size_t inner;
};

// Runs task(data, 0) ... task(data, count - 1), in any order and on any threads.
using Task = void (*)(void* data, size_t index);
using ParallelFor = void (*)(void* context, Task task, size_t count, void* data);

// The type that T computes in, and that r has: double for double, else float.
template <typename Element>
struct ComputeType {
  using type = float;
};
template <>
struct ComputeType<double> {
  using type = double;
};
template <typename Element>
using Compute = typename ComputeType<Element>::type;

// r_new[c] = rho r[c] + (1 - rho) mean over outer and inner of (gradient_factor dy[o, c, i])^2
// out[o, c, i] = dy[o, c, i] * scale / sqrt(r_new[c] + epsilon)
//
// Element is float, double, Float16 or BFloat16. out may be dy, and r_new may be r. Where there is
// nothing to average over, r stays as it is. With `out` null, only `factors` (channels) is written,
// scale / sqrt(r_new[c] + epsilon); else `factors` may be null.
//
// The result does not depend on the number of threads nor on the processor's instruction set, bit
// for bit: each sum has an order that follows from the shape alone, partial sums are added up in
// order, and no multiplication is fused with an addition.
template <typename Element>
void VirtualGradient(const Element* dy, const Compute<Element>* r, Element* out,
                     Compute<Element>* r_new, Compute<Element>* factors,
                     const VirtualGradientShape& shape, const VirtualGradientAttributes& attributes,
                     ParallelFor parallel_for, void* context);

}  // namespace svgd
