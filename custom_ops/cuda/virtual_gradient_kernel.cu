#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cstdint>

#include "cuda/virtual_gradient_kernel.h"

namespace svgd {
namespace {

// A block is a tile of kLanes x kGroups threads: a warp reads a piece of a row, the warps take rows
// in turns.
constexpr unsigned kLanes = 32;
constexpr unsigned kGroups = 8;
constexpr unsigned kThreads = kLanes * kGroups;
// Rows that a thread may keep in registers between the sum and the scaling.
constexpr int kMaxKeptRows = 16;
// Blocks that are enough for any device.
constexpr size_t kBlocks = 1024;
// A block handles all rows of its columns if there are few rows, and many columns or few elements.
constexpr size_t kMaxWholeRows = 1024;
constexpr size_t kMaxWholeElements = 64 * 1024;
constexpr size_t kMinWholeColumns = 4096;

// Reading and writing elements.
__device__ float Read(float element) { return element; }
__device__ double Read(double element) { return element; }
__device__ float Read(Float16 element) { return __half2float(__ushort_as_half(element.bits)); }
__device__ float Read(BFloat16 element) {
  return __bfloat162float(__ushort_as_bfloat16(element.bits));
}
__device__ void Write(float value, float* element) { *element = value; }
__device__ void Write(double value, double* element) { *element = value; }
__device__ void Write(float value, Float16* element) {
  element->bits = __half_as_ushort(__float2half_rn(value));
}
__device__ void Write(float value, BFloat16* element) {
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

// All of T for kLanes * kWidth columns: dy is (rows, columns) with an r for each column. The first
// kGroups * kKeptRows rows are read once; the others, if any, once more.
template <typename Element, int kWidth, int kKeptRows>
__global__ void __launch_bounds__(kThreads)
    WholeColumns(const Element* dy, const Compute<Element>* r, Element* out,
                 Compute<Element>* r_new, Compute<Element>* factors, size_t rows, size_t columns,
                 Update<Compute<Element>> update) {
  using Number = Compute<Element>;
  using Values = Vector<Element, kWidth>;
  __shared__ Number shared[kGroups][kLanes * kWidth];
  const size_t column = (size_t{blockIdx.x} * kLanes + threadIdx.x) * kWidth;
  const bool inside = column < columns;
  const unsigned group = threadIdx.y;

  Values kept[kKeptRows];
  Number sums[kWidth] = {};
  if (inside) {
#pragma unroll
    for (int k = 0; k < kKeptRows; ++k) {
      const size_t row = group + static_cast<size_t>(k) * kGroups;
      if (row < rows) kept[k] = *reinterpret_cast<const Values*>(dy + row * columns + column);
    }
#pragma unroll
    for (int k = 0; k < kKeptRows; ++k) {
      if (group + static_cast<size_t>(k) * kGroups < rows) {
        for (int i = 0; i < kWidth; ++i) {
          const Number value = Read(kept[k].elements[i]);
          sums[i] += value * value;
        }
      }
    }
    for (size_t row = group + size_t{kKeptRows} * kGroups; row < rows; row += kGroups) {
      const auto values = *reinterpret_cast<const Values*>(dy + row * columns + column);
      for (int i = 0; i < kWidth; ++i) {
        const Number value = Read(values.elements[i]);
        sums[i] += value * value;
      }
    }
  }
  for (int i = 0; i < kWidth; ++i) shared[group][threadIdx.x * kWidth + i] = sums[i];
  __syncthreads();
  // One thread a column adds up the groups' sums in order.
  for (unsigned c = group * kLanes + threadIdx.x; c < kLanes * kWidth; c += kThreads) {
    const size_t place = size_t{blockIdx.x} * kLanes * kWidth + c;
    if (place < columns) {
      Number sum = 0;
      for (unsigned g = 0; g < kGroups; ++g) sum += shared[g][c];
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
    const size_t row = group + static_cast<size_t>(k) * kGroups;
    if (row < rows) {
      for (int i = 0; i < kWidth; ++i) {
        Write(Read(kept[k].elements[i]) * factor[i], &kept[k].elements[i]);
      }
      *reinterpret_cast<Values*>(out + row * columns + column) = kept[k];
    }
  }
  for (size_t row = group + size_t{kKeptRows} * kGroups; row < rows; row += kGroups) {
    auto values = *reinterpret_cast<const Values*>(dy + row * columns + column);
    for (int i = 0; i < kWidth; ++i) {
      Write(Read(values.elements[i]) * factor[i], &values.elements[i]);
    }
    *reinterpret_cast<Values*>(out + row * columns + column) = values;
  }
}

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
      for (int i = 0; i < kWidth; ++i) {
        const Number value = Read(values.elements[i]);
        partial[i] += value * value;
      }
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
    for (int i = 0; i < kWidth; ++i) {
      Write(Read(values.elements[i]) * factor[i], &values.elements[i]);
    }
    *reinterpret_cast<Values*>(out + row * columns + column) = values;
  }
}

// The same for a channel with a row of `inner` elements in every example: a block takes one channel
// (blockIdx.x) of a chunk of examples (blockIdx.y), counting its elements through.

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
  shared[threadIdx.x] = sum;
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
  }
  if (threadIdx.x == 0) sums[blockIdx.y * shape.channels + blockIdx.x] = shared[0];
}

template <typename Element, int kWidth>
__global__ void __launch_bounds__(kThreads)
    ScaleChannels(const Element* dy, Element* out, const Compute<Element>* factors,
                  VirtualGradientShape shape, size_t chunk_rows) {
  using Values = Vector<Element, kWidth>;
  const auto width = static_cast<uint32_t>(shape.inner / kWidth);
  const size_t first = blockIdx.y * chunk_rows;
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

// Adds up the chunks' sums in order and turns them into factors, in place of the first chunk's.
template <typename Number>
__global__ void __launch_bounds__(kThreads)
    UpdateChannels(const Number* r, Number* r_new, Number* sums, Number* factors, size_t channels,
                   size_t chunks, Update<Number> update) {
  const size_t channel = size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (channel >= channels) return;
  Number sum = 0;
  for (size_t chunk = 0; chunk < chunks; ++chunk) sum += sums[chunk * channels + channel];
  const Number factor = update(sum, r + channel, r_new + channel);
  sums[channel] = factor;
  if (factors != nullptr) factors[channel] = factor;
}

template <typename Number>
__global__ void __launch_bounds__(kThreads) Fill(Number* values, size_t count, Number value) {
  const size_t i = size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) values[i] = value;
}

unsigned DivideUp(size_t a, size_t b) { return static_cast<unsigned>((a + b - 1) / b); }

bool IsWhole(const VirtualGradientShape& shape) {
  return shape.inner == 1 && shape.outer <= kMaxWholeRows &&
         (shape.channels >= kMinWholeColumns || shape.outer * shape.channels <= kMaxWholeElements);
}

// How the work is cut into chunks of rows; block_columns is 1 where a block takes a channel.
struct Chunks {
  size_t count;
  size_t rows;

  Chunks(const VirtualGradientShape& shape, size_t block_columns) {
    const size_t across = (shape.channels + block_columns - 1) / block_columns;
    const size_t wanted = std::max(kBlocks / across, size_t{1});
    // Enough elements for each thread of a block to read several.
    const size_t least = block_columns > 1 ? 4 * kGroups : 16 * kThreads / shape.inner;
    // Elements of a channel's chunk are counted in 32 bits.
    const size_t most = std::max((size_t{1} << 30) / shape.inner, size_t{1});
    rows = std::max((shape.outer + wanted - 1) / wanted, std::max(least, size_t{1}));
    rows = std::min(rows, most);
    count = (shape.outer + rows - 1) / rows;
  }
};

template <typename Element>
Chunks ChunksOf(const VirtualGradientShape& shape) {
  return {shape, shape.inner > 1 ? 1 : kLanes * size_t{kFullWidth<Element>}};
}

template <typename Element>
struct Launch {
  using Number = Compute<Element>;
  const Element* dy;
  const Number* r;
  Element* out;
  Number* r_new;
  Number* factors;
  VirtualGradientShape shape;
  Update<Number> update;
  Number* workspace;
  cudaStream_t stream;

  template <int kWidth, int kKeptRows>
  void Whole() const {
    const unsigned blocks = DivideUp(shape.channels, kLanes * size_t{kWidth});
    WholeColumns<Element, kWidth, kKeptRows><<<blocks, dim3(kLanes, kGroups), 0, stream>>>(
        dy, r, out, r_new, factors, shape.outer, shape.channels, update);
  }

  template <int kWidth>
  void Whole() const {
    if (shape.outer <= kGroups) {
      Whole<kWidth, 1>();
    } else if (shape.outer <= 4 * kGroups) {
      Whole<kWidth, 4>();
    } else {
      Whole<kWidth, kMaxKeptRows>();
    }
  }

  template <int kWidth>
  void Rows() const {
    const Chunks chunks = ChunksOf<Element>(shape);
    const dim3 grid(DivideUp(shape.channels, kLanes * size_t{kWidth}),
                    static_cast<unsigned>(chunks.count));
    const dim3 block(kLanes, kGroups);
    SumRows<Element, kWidth>
        <<<grid, block, 0, stream>>>(dy, workspace, shape.outer, shape.channels, chunks.rows);
    UpdateAll(chunks.count);
    if (out != nullptr) {
      ScaleRows<Element, kWidth><<<grid, block, 0, stream>>>(dy, out, workspace, shape.outer,
                                                             shape.channels, chunks.rows);
    }
  }

  template <int kWidth>
  void Channels() const {
    const Chunks chunks = ChunksOf<Element>(shape);
    const dim3 grid(static_cast<unsigned>(shape.channels), static_cast<unsigned>(chunks.count));
    SumChannels<Element, kWidth><<<grid, kThreads, 0, stream>>>(dy, workspace, shape, chunks.rows);
    UpdateAll(chunks.count);
    if (out != nullptr) {
      ScaleChannels<Element, kWidth>
          <<<grid, kThreads, 0, stream>>>(dy, out, workspace, shape, chunks.rows);
    }
  }

  void UpdateAll(size_t chunks) const {
    UpdateChannels<<<DivideUp(shape.channels, kThreads), kThreads, 0, stream>>>(
        r, r_new, workspace, factors, shape.channels, chunks, update);
  }
};

bool IsAligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

}  // namespace

template <typename Element>
size_t WorkspaceBytes(const VirtualGradientShape& shape) {
  if (shape.outer * shape.channels * shape.inner == 0 || IsWhole(shape)) return 0;
  return ChunksOf<Element>(shape).count * shape.channels * sizeof(Compute<Element>);
}

template <typename Element>
cudaError_t VirtualGradientCuda(const Element* dy, const Compute<Element>* r, Element* out,
                                Compute<Element>* r_new, Compute<Element>* factors,
                                const VirtualGradientShape& shape,
                                const VirtualGradientAttributes& attributes, void* workspace,
                                cudaStream_t stream) {
  using Number = Compute<Element>;
  if (shape.channels == 0) return cudaSuccess;
  const size_t averaged = shape.outer * shape.inner;
  if (averaged == 0) {
    if (factors != nullptr) {
      Fill<<<DivideUp(shape.channels, kThreads), kThreads, 0, stream>>>(factors, shape.channels,
                                                                        Number{1});
    }
    if (r_new != r) {
      const cudaError_t error = cudaMemcpyAsync(r_new, r, shape.channels * sizeof(Number),
                                                cudaMemcpyDeviceToDevice, stream);
      if (error != cudaSuccess) return error;
    }
    return cudaGetLastError();
  }
  const Number rho = attributes.rho;
  const Number factor = attributes.gradient_factor;
  const Number share = (1 - rho) * factor * factor / static_cast<Number>(averaged);
  const Launch<Element> launch{dy,
                               r,
                               out,
                               r_new,
                               factors,
                               shape,
                               {rho, share, attributes.scale, attributes.epsilon},
                               static_cast<Number*>(workspace),
                               stream};

  constexpr int kWidth = kFullWidth<Element>;
  const size_t row = shape.inner > 1 ? shape.inner : shape.channels;
  const bool wide = row % kWidth == 0 && IsAligned(dy) && (out == nullptr || IsAligned(out));
  if (IsWhole(shape)) {
    // Narrow accesses where wide ones would leave most of a device without work.
    if (wide && shape.channels >= kBlocks / 4 * kLanes * kWidth) {
      launch.template Whole<kWidth>();
    } else {
      launch.template Whole<1>();
    }
  } else if (shape.inner > 1) {
    wide ? launch.template Channels<kWidth>() : launch.template Channels<1>();
  } else {
    wide ? launch.template Rows<kWidth>() : launch.template Rows<1>();
  }
  return cudaGetLastError();
}

#define SVGD_INSTANTIATE(Element)                                                              \
  template size_t WorkspaceBytes<Element>(const VirtualGradientShape&);                        \
  template cudaError_t VirtualGradientCuda<Element>(                                           \
      const Element*, const Compute<Element>*, Element*, Compute<Element>*, Compute<Element>*, \
      const VirtualGradientShape&, const VirtualGradientAttributes&, void*, cudaStream_t);
SVGD_INSTANTIATE(float)
SVGD_INSTANTIATE(double)
SVGD_INSTANTIATE(Float16)
SVGD_INSTANTIATE(BFloat16)
#undef SVGD_INSTANTIATE

}  // namespace svgd
