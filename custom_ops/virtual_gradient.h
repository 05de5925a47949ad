// T, the operator of SVGD: its shape and hyper-parameters, for the kernels of every device.
#pragma once

#include <cstddef>

#include "element_types.h"

namespace svgd {

// Hyper-parameters of T (arXiv 1907.04021, Algorithm 1).
struct VirtualGradientAttributes {
  float rho;      // decay of r, in [0, 1)
  float epsilon;  // > 0
  float scale;    // s, > 0
  // Factor of dy in r: 1 for the gradient as it stands, the size of the batch for the gradient of
  // each example's loss.
  float batch_factor;
};

// dy and out are (outer, channels, inner), r and r_new are (channels), all row-major. An r for each
// element has inner 1 and a channel for each element of an example. r and r_new may have these in
// turn: as (first_of_r, ...), while dY has them as (..., first_of_r).
struct VirtualGradientShape {
  size_t outer;
  size_t channels;
  size_t inner;
  size_t first_of_r = 1;
};

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

}  // namespace svgd
