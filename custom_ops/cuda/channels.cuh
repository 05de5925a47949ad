// T of a channel with a row of `inner` elements in every example: a block takes one channel
// (blockIdx.x) of a chunk of examples (blockIdx.y), counting its elements through.
#pragma once

#include <cstdint>

#include "cuda/elements.cuh"

namespace svgd {
namespace cuda {

template <typename Element, int kWidth>
__global__ void __launch_bounds__(kThreads)
    SumChannels(const Element* dy, Compute<Element>* sums, VirtualGradientShape shape,
                size_t chunk_rows) {
  using Number = Compute<Element>;
  using Values = Vector<Element, kWidth>;
  __shared__ Number shared[kThreads];
  const auto width = static_cast<uint32_t>(shape.inner / kWidth);
  const size_t first = blockIdx.y * chunk_rows;
  const auto rows = static_cast<uint32_t>(min(chunk_rows, shape.outer - first));
  const Element* start = dy + (first * shape.channels + blockIdx.x) * shape.inner;
  Number sum = 0;
#pragma unroll 4
  for (uint32_t i = threadIdx.x; i < rows * width; i += kThreads) {
    const size_t place = size_t{i / width} * shape.channels * shape.inner + i % width * kWidth;
    const auto values = *reinterpret_cast<const Values*>(start + place);
    for (int k = 0; k < kWidth; ++k) {
      const Number value = Read(values.elements[k]);
      sum += value * value;
    }
  }
  sum = BlockSum(sum, shared);
  if (threadIdx.x == 0) sums[blockIdx.y * shape.channels + blockIdx.x] = sum;
}

// The last chunk first: it is what a cache still has of the sums' reading.
template <typename Element, int kWidth>
__global__ void __launch_bounds__(kThreads)
    ScaleChannels(const Element* dy, Element* out, const Compute<Element>* factors,
                  VirtualGradientShape shape, size_t chunk_rows) {
  using Values = Vector<Element, kWidth>;
  const auto width = static_cast<uint32_t>(shape.inner / kWidth);
  const size_t first = (gridDim.y - 1 - blockIdx.y) * chunk_rows;
  const auto rows = static_cast<uint32_t>(min(chunk_rows, shape.outer - first));
  const size_t start = (first * shape.channels + blockIdx.x) * shape.inner;
  const Compute<Element> factor = factors[blockIdx.x];
#pragma unroll 4
  for (uint32_t i = threadIdx.x; i < rows * width; i += kThreads) {
    const size_t place =
        start + size_t{i / width} * shape.channels * shape.inner + i % width * kWidth;
    auto values = *reinterpret_cast<const Values*>(dy + place);
    for (int k = 0; k < kWidth; ++k) {
      Write(Read(values.elements[k]) * factor, &values.elements[k]);
    }
    *reinterpret_cast<Values*>(out + place) = values;
  }
}

}  // namespace cuda
}  // namespace svgd
