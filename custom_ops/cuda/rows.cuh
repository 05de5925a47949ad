// T where rows are cut into chunks: a kernel sums, another scales. Narrow rows are taken several at
// once, as one row in which each channel has several columns; the last of these may end early.
#pragma once

#include <algorithm>

#include "cuda/elements.cuh"

namespace svgd {
namespace cuda {

// sums[chunk, column] = the sum of squares over the rows of a chunk. dy has `size` elements.
template <typename Element, int kWidth>
__global__ void __launch_bounds__(kThreads)
    SumRows(const Element* dy, Compute<Element>* sums, size_t size, size_t columns,
            size_t chunk_rows) {
  using Number = Compute<Element>;
  using Values = Vector<Element, kWidth>;
  __shared__ Number shared[kGroups][kLanes * kWidth];
  const size_t column = (size_t{blockIdx.x} * kLanes + threadIdx.x) * kWidth;
  const size_t first = blockIdx.y * chunk_rows;
  const size_t last = min((first + chunk_rows) * columns, size);
  Number partial[kWidth] = {};
  if (column < columns) {
#pragma unroll 4
    for (size_t place = (first + threadIdx.y) * columns + column; place < last;
         place += kGroups * columns) {
      AddSquares(*reinterpret_cast<const Values*>(dy + place), partial);
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

// The last chunk first: it is what a cache still has of the sums' reading.
template <typename Element, int kWidth>
__global__ void __launch_bounds__(kThreads)
    ScaleRows(const Element* dy, Element* out, const Compute<Element>* factors, size_t size,
              size_t columns, size_t channels, size_t chunk_rows) {
  using Values = Vector<Element, kWidth>;
  const size_t column = (size_t{blockIdx.x} * kLanes + threadIdx.x) * kWidth;
  if (column >= columns) return;
  const size_t first = (gridDim.y - 1 - blockIdx.y) * chunk_rows;
  const size_t last = min((first + chunk_rows) * columns, size);
  Compute<Element> factor[kWidth];
  for (int i = 0; i < kWidth; ++i)
    factor[i] = factors[(column + static_cast<size_t>(i)) % channels];
#pragma unroll 4
  for (size_t place = (first + threadIdx.y) * columns + column; place < last;
       place += kGroups * columns) {
    auto values = *reinterpret_cast<const Values*>(dy + place);
    Scale(factor, &values);
    *reinterpret_cast<Values*>(out + place) = values;
  }
}

}  // namespace cuda
}  // namespace svgd
