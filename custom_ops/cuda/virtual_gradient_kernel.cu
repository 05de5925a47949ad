#include <algorithm>
#include <cstdint>

#include "cuda/channels.cuh"
#include "cuda/rows.cuh"
#include "cuda/virtual_gradient_kernel.h"
#include "cuda/whole_columns.cuh"

namespace svgd {
namespace {

using namespace cuda;

// Rows that a thread may keep in registers between the sum and the scaling.
constexpr int kMostKeptRows = 16;
// Groups of a block that keeps as many rows as it can.
constexpr unsigned kMostGroups = 32;
// More sums of a channel than one thread adds up.
constexpr size_t kManySums = 64;
// Blocks that are enough for any device.
constexpr size_t kBlocks = 1024;
// A block handles all rows of its columns if there are few rows, and many columns or few elements.
constexpr size_t kMaxWholeRows = 1024;
constexpr size_t kMaxWholeElements = 64 * 1024;
constexpr size_t kMinWholeColumns = 4096;

// Adds up `count` sums of each channel in order and turns them into factors, in place of the first.
template <typename Number>
__global__ void __launch_bounds__(kThreads)
    UpdateChannels(const Number* r, Number* r_new, Number* sums, Number* factors, size_t channels,
                   size_t count, Update<Number> update) {
  const size_t channel = size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (channel >= channels) return;
  Number sum = 0;
#pragma unroll 8
  for (size_t i = 0; i < count; ++i) sum += sums[i * channels + channel];
  const Number factor = update(sum, r + channel, r_new + channel);
  sums[channel] = factor;
  if (factors != nullptr) factors[channel] = factor;
}

// As UpdateChannels, for many sums of few channels: a block adds up those of one.
template <typename Number>
__global__ void __launch_bounds__(kThreads)
    UpdateChannel(const Number* r, Number* r_new, Number* sums, Number* factors, size_t channels,
                  size_t count, Update<Number> update) {
  __shared__ Number shared[kThreads];
  const size_t channel = blockIdx.x;
  Number sum = 0;
#pragma unroll 8
  for (size_t i = threadIdx.x; i < count; i += kThreads) sum += sums[i * channels + channel];
  sum = BlockSum(sum, shared);
  if (threadIdx.x != 0) return;
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

// Rows of a block's columns that are taken as one: as many as fill it.
template <typename Element>
size_t Folded(const VirtualGradientShape& shape) {
  constexpr size_t kColumns = kLanes * size_t{kFullWidth<Element>};
  if (shape.inner > 1 || shape.channels * 2 > kColumns) return 1;
  // Lines of whole accesses, whatever the number of channels.
  constexpr size_t kWidth = kFullWidth<Element>;
  return (kColumns / shape.channels + kWidth - 1) / kWidth * kWidth;
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
  if (shape.inner > 1) return {shape, 1};
  const size_t folded = Folded<Element>(shape);
  return {{(shape.outer + folded - 1) / folded, shape.channels * folded, 1},
          kLanes * size_t{kFullWidth<Element>}};
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

  template <int kWidth, int kKeptRows, unsigned kAcross = kLanes, unsigned kDown = kGroups>
  void Whole() const {
    const unsigned blocks = DivideUp(shape.channels, kAcross * size_t{kWidth});
    WholeColumns<Element, kWidth, kKeptRows, kAcross, kDown>
        <<<blocks, dim3(kAcross, kDown), 0, stream>>>(dy, r, out, r_new, factors, shape.outer,
                                                      shape.channels, update);
  }

  template <int kWidth>
  void FewRows() const {
    if (shape.outer == 1) {
      Whole<kWidth, 1, kThreads, 1>();
    } else if (shape.outer < kGroups / 2) {
      Whole<kWidth, kGroups / 2, kThreads, 1>();
    } else if (shape.outer <= kGroups) {
      Whole<kWidth, 1>();
    } else if (shape.outer <= 4 * kGroups) {
      Whole<kWidth, 4>();
    } else {
      Whole<kWidth, kMostKeptRows>();
    }
  }

  void ManyRows(bool wide) const {
    // A warp reads 128 bytes of a row.
    constexpr int kWidth = sizeof(Element) < 4 ? 4 / static_cast<int>(sizeof(Element)) : 1;
    wide ? ManyRows<kWidth>() : ManyRows<1>();
  }

  template <int kWidth>
  void ManyRows() const {
    // Registers for rows: 32 of 4 bytes in each of 1,024 threads.
    constexpr int kMost = sizeof(Element) > 4 ? 16 : 32;
    Whole<kWidth, kMost, kLanes, kMostGroups>();
  }

  template <int kWidth>
  void Rows() const {
    const Chunks chunks = ChunksOf<Element>(shape);
    const size_t folded = Folded<Element>(shape), columns = shape.channels * folded;
    const size_t size = shape.outer * shape.channels;
    const dim3 grid(DivideUp(columns, kLanes * size_t{kWidth}),
                    static_cast<unsigned>(chunks.count));
    const dim3 block(kLanes, kGroups);
    SumRows<Element, kWidth><<<grid, block, 0, stream>>>(dy, workspace, size, columns, chunks.rows);
    UpdateAll(chunks.count * folded);
    if (out != nullptr) {
      ScaleRows<Element, kWidth><<<grid, block, 0, stream>>>(dy, out, workspace, size, columns,
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

  void UpdateAll(size_t count) const {
    if (count > kManySums) {
      UpdateChannel<<<static_cast<unsigned>(shape.channels), kThreads, 0, stream>>>(
          r, r_new, workspace, factors, shape.channels, count, update);
    } else {
      UpdateChannels<<<DivideUp(shape.channels, kThreads), kThreads, 0, stream>>>(
          r, r_new, workspace, factors, shape.channels, count, update);
    }
  }
};

bool IsAligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

}  // namespace

template <typename Element>
size_t WorkspaceBytes(const VirtualGradientShape& shape) {
  if (shape.outer * shape.channels * shape.inner == 0 || IsWhole(shape)) return 0;
  return ChunksOf<Element>(shape).count * Folded<Element>(shape) * shape.channels *
         sizeof(Compute<Element>);
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
  const Number factor = attributes.batch_factor;
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
  const bool aligned = IsAligned(dy) && (out == nullptr || IsAligned(out));
  const size_t row = shape.inner > 1              ? shape.inner
                     : Folded<Element>(shape) > 1 ? shape.outer * shape.channels
                                                  : shape.channels;
  const bool wide = row % kWidth == 0 && aligned;
  if (IsWhole(shape) && shape.outer <= kMostKeptRows * kGroups) {
    // Narrow accesses where wide ones would leave most of a device without work.
    const size_t across = shape.outer < kGroups / 2 ? kThreads : kLanes;
    if (wide && shape.channels >= kBlocks / 4 * across * kWidth) {
      launch.template FewRows<kWidth>();
    } else {
      launch.template FewRows<1>();
    }
  } else if (IsWhole(shape)) {
    launch.ManyRows(wide);
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
