// T, the operator of SVGD, on plain arrays. Nothing here knows of onnxruntime.
#pragma once

#include <cstddef>

namespace svgd {

// Hyper-parameters of T (arXiv 1907.04021, Algorithm 1).
struct VirtualGradientAttributes {
  float rho;      // decay of r, in [0, 1)
  float epsilon;  // > 0
  float scale;    // s, > 0
};

// Runs task(data, 0) ... task(data, count - 1), in any order and on any threads.
using Task = void (*)(void* data, size_t index);
using ParallelFor = void (*)(void* context, Task task, size_t count, void* data);

// r_new[f] = rho r[f] + (1 - rho) / N * sum_n dy[n, f]^2
// out[n, f] = dy[n, f] * scale / sqrt(r_new[f] + epsilon)
//
// dy and out are (batch, features), r and r_new are (features), all row-major float32. out may be
// dy, and r_new may be r. Without a batch (batch 0) r stays as it is.
//
// The result does not depend on the number of threads, bit for bit: how the work is cut follows
// from the sizes alone, each sum has a fixed order, and partial sums are added up in order.
void VirtualGradient(const float* dy, const float* r, float* out, float* r_new, size_t batch,
                     size_t features, const VirtualGradientAttributes& attributes,
                     ParallelFor parallel_for, void* context);

}  // namespace svgd
