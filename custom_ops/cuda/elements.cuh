// What the kernels of CUDA have in common: how a block of threads is laid out, reading and writing
// elements, and the update of r.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstddef>

#include "virtual_gradient.h"

namespace svgd {
namespace cuda {

// A block is a tile of kLanes x kGroups threads: a warp reads a piece of a row, the warps take rows
// in turns.
constexpr unsigned kLanes = 32;
constexpr unsigned kGroups = 8;
constexpr unsigned kThreads = kLanes * kGroups;

// Reading and writing elements.
__device__ inline float Read(float element) { return element; }
__device__ inline double Read(double element) { return element; }
__device__ inline float Read(Float16 element) {
  return __half2float(__ushort_as_half(element.bits));
}
__device__ inline float Read(BFloat16 element) {
  return __bfloat162float(__ushort_as_bfloat16(element.bits));
}
__device__ inline void Write(float value, float* element) { *element = value; }
__device__ inline void Write(double value, double* element) { *element = value; }
__device__ inline void Write(float value, Float16* element) {
  element->bits = __half_as_ushort(__float2half_rn(value));
}
__device__ inline void Write(float value, BFloat16* element) {
  element->bits = __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

// kWidth elements that are read and written at once.
template <typename Element, int kWidth>
struct alignas(sizeof(Element) * kWidth) Vector {
  Element elements[kWidth];
};

// Elements of a 16-byte access.
template <typename Element>
constexpr int kFullWidth = 16 / static_cast<int>(sizeof(Element));

// sums[i] += values[i]^2
template <typename Element, int kWidth>
__device__ void AddSquares(const Vector<Element, kWidth>& values, Compute<Element>* sums) {
  for (int i = 0; i < kWidth; ++i) {
    const Compute<Element> value = Read(values.elements[i]);
    sums[i] += value * value;
  }
}

// values[i] *= factors[i]
template <typename Element, int kWidth>
__device__ void Scale(const Compute<Element>* factors, Vector<Element, kWidth>* values) {
  for (int i = 0; i < kWidth; ++i) {
    Write(Read(values->elements[i]) * factors[i], &values->elements[i]);
  }
}

// The sum of a number of each thread of a block of kThreads, in a fixed order, for its first
// thread.
template <typename Number>
__device__ Number BlockSum(Number value, Number* shared) {
  shared[threadIdx.x] = value;
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
  }
  return shared[threadIdx.x];  // only the first thread's is the sum
}

template <typename Number>
struct Update {
  Number rho, share, scale, epsilon;

  // Turns a sum of squares into the factor of dy, and writes the new r.
  __device__ Number operator()(Number sum, const Number* r, Number* r_new) const {
    const Number updated = rho * *r + share * sum;
    *r_new = updated;
    return scale / sqrt(updated + epsilon);
  }
};

}  // namespace cuda
}  // namespace svgd
