// T where rows are cut into chunks: a kernel sums, another scales.
#pragma once

#include <algorithm>

#include "cuda/elements.cuh"

namespace svgd {
namespace cuda {

// sums[chunk, column] = the sum of squares over the rows of a chunk.
template <typename Element, int kWidth>
__global__ void __launch_bounds__(kThreads)
    SumRows(const Element* dy, Compute<Element>* sums, size_t rows, size_t columns,
            size_t chunk_rows) {
  using Number = Compute<Element>;
  using Values = Vector<Element, kWidth>;
  __shared__ Number shared[kGroups][kLanes * kWidth];
  const size_t column = (size_t{blockIdx.x} * kLanes + threadIdx.x) * kWidth;
  const size_t first = blockIdx.y * chunk_rows;
  const size_t last = min(first + chunk_rows, rows);
  Number partial[kWidth] = {};
  if (column < columns) {
#pragma unroll 4
    for (size_t row = first + threadIdx.y; row < last; row += kGroups) {
      const auto values = *reinterpret_cast<const Values*>(dy + row * columns + column);
      AddSquares(values, partial);
    }
  }
  for (int i = 0; i < kWidth; ++i) shared[threadIdx.y][threadIdx.x * kWidth + i] = partial[i];
  __syncthreads();
  for (unsigned c = threadIdx.y * kLanes + threadIdx.x; c < kLanes * kWidth; c += kThreads) {
    const size_t place = size_t{blockIdx.x} * kLanes * kWidth + c;
    if (place < columns) {
      Number sum = 0;
      for (unsigned g = 0; g < kGroups; ++g) sum += shared[g][c];
      sums[blockIdx.y * columns + place] = sum;
    }
  }
}

template <typename Element, int kWidth>
__global__ void __launch_bounds__(kThreads)
    ScaleRows(const Element* dy, Element* out, const Compute<Element>* factors, size_t rows,
              size_t columns, size_t chunk_rows) {
  using Values = Vector<Element, kWidth>;
  const size_t column = (size_t{blockIdx.x} * kLanes + threadIdx.x) * kWidth;
  if (column >= columns) return;
  const size_t first = blockIdx.y * chunk_rows;
  const size_t last = min(first + chunk_rows, rows);
  Compute<Element> factor[kWidth];
  for (int i = 0; i < kWidth; ++i) factor[i] = factors[column + static_cast<size_t>(i)];
#pragma unroll 4
  for (size_t row = first + threadIdx.y; row < last; row += kGroups) {
    auto values = *reinterpret_cast<const Values*>(dy + row * columns + column);
    Scale(factor, &values);
    *reinterpret_cast<Values*>(out + row * columns + column) = values;
  }
}

}  // namespace cuda
}  // namespace svgd
