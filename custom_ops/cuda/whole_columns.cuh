// T where a block handles all rows of its columns: one kernel.
#pragma once

#include "cuda/elements.cuh"

namespace svgd {
namespace cuda {

// All of T for kAcross * kWidth columns: dy is (rows, columns) with an r for each column. A block
// is kAcross x kDown threads. The first kDown * kKeptRows rows are read once; the others, if any,
// once more.
template <typename Element, int kWidth, int kKeptRows, unsigned kAcross, unsigned kDown>
__global__ void __launch_bounds__(kAcross* kDown)
    WholeColumns(const Element* dy, const Compute<Element>* r, Element* out,
                 Compute<Element>* r_new, Compute<Element>* factors, size_t rows, size_t columns,
                 Update<Compute<Element>> update) {
  using Number = Compute<Element>;
  using Values = Vector<Element, kWidth>;
  __shared__ Number shared[kDown][kAcross * kWidth];
  const size_t column = (size_t{blockIdx.x} * kAcross + threadIdx.x) * kWidth;
  const bool inside = column < columns;
  const unsigned group = threadIdx.y;

  Values kept[kKeptRows];
  Number sums[kWidth] = {};
  if (inside) {
#pragma unroll
    for (int k = 0; k < kKeptRows; ++k) {
      const size_t row = group + static_cast<size_t>(k) * kDown;
      if (row < rows) kept[k] = *reinterpret_cast<const Values*>(dy + row * columns + column);
    }
#pragma unroll
    for (int k = 0; k < kKeptRows; ++k) {
      if (group + static_cast<size_t>(k) * kDown < rows) AddSquares(kept[k], sums);
    }
    for (size_t row = group + size_t{kKeptRows} * kDown; row < rows; row += kDown) {
      const auto values = *reinterpret_cast<const Values*>(dy + row * columns + column);
      AddSquares(values, sums);
    }
  }
  for (int i = 0; i < kWidth; ++i) shared[group][threadIdx.x * kWidth + i] = sums[i];
  __syncthreads();
  // One thread a column adds up the groups' sums in order.
  for (unsigned c = group * kAcross + threadIdx.x; c < kAcross * kWidth; c += kAcross * kDown) {
    const size_t place = size_t{blockIdx.x} * kAcross * kWidth + c;
    if (place < columns) {
      Number sum = 0;
      for (unsigned g = 0; g < kDown; ++g) sum += shared[g][c];
      const Number factor = update(sum, r + place, r_new + place);
      shared[0][c] = factor;
      if (factors != nullptr) factors[place] = factor;
    }
  }
  __syncthreads();
  if (!inside || out == nullptr) return;

  Number factor[kWidth];
  for (int i = 0; i < kWidth; ++i) factor[i] = shared[0][threadIdx.x * kWidth + i];
#pragma unroll
  for (int k = 0; k < kKeptRows; ++k) {
    const size_t row = group + static_cast<size_t>(k) * kDown;
    if (row < rows) {
      Scale(factor, &kept[k]);
      *reinterpret_cast<Values*>(out + row * columns + column) = kept[k];
    }
  }
  for (size_t row = group + size_t{kKeptRows} * kDown; row < rows; row += kDown) {
    auto values = *reinterpret_cast<const Values*>(dy + row * columns + column);
    Scale(factor, &values);
    *reinterpret_cast<Values*>(out + row * columns + column) = values;
  }
}

}  // namespace cuda
}  // namespace svgd
