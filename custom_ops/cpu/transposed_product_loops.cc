// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is; multiplications are fused with additions where the set has that, as
// those of convolution are.
#include "cpu/transposed_product_loops.h"

#include "cpu/panel.h"
#include "cpu/vector.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

#if defined(__GNUC__)
#define SVGD_WILL_WRITE(address) __builtin_prefetch(address, 1)
#define SVGD_WILL_READ(address) __builtin_prefetch(address, 0, 2)
#else
#define SVGD_WILL_WRITE(address) static_cast<void>(address)
#define SVGD_WILL_READ(address) static_cast<void>(address)
#endif

template <int kVectors, int kWidth, int kRows>
void RunRows(const ProductTile& tile) {
  constexpr int kPanel = kVectors * kLanes;
  constexpr size_t kNumbersOfLine = 16;
  // C lies in rows far apart, which no processor foresees.
  for (int i = 0; i < kRows; ++i) {
    float* row = tile.c + static_cast<size_t>(i) * tile.pitch;
    SVGD_WILL_WRITE(row);
    SVGD_WILL_WRITE(row + tile.columns - 1);
  }
  for (size_t i = 0; i < tile.ahead; i += kNumbersOfLine) SVGD_WILL_READ(tile.next + i);
  Vector sums[kRows][kVectors] = {};
  const float* a = tile.a;
  const float* b = tile.b;
  for (size_t k = 0; k < tile.depth; ++k, a += kWidth, b += kPanel) {
    Vector row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = Load(b + v * kLanes);
    SVGD_UNROLL(16)
    for (int i = 0; i < kRows; ++i) {
      for (int v = 0; v < kVectors; ++v) sums[i][v] += a[i] * row[v];
    }
  }
  SVGD_UNROLL(16)
  for (int i = 0; i < kRows; ++i) {
    float* row = tile.c + static_cast<size_t>(i) * tile.pitch;
    if (tile.add) {
      Vector before[kVectors];
      LoadSome<kVectors>(row, tile.columns, before);
      for (int v = 0; v < kVectors; ++v) sums[i][v] += before[v];
    }
    StoreSome<kVectors>(sums[i], tile.columns, row);
  }
}

template <int kVectors, int kWidth, int kRows>
void Dispatch(const ProductTile& tile) {
  if (tile.rows == static_cast<size_t>(kRows)) {
    RunRows<kVectors, kWidth, kRows>(tile);
  } else if constexpr (kRows > 1) {
    Dispatch<kVectors, kWidth, kRows - 1>(tile);
  }
}

template <int kWidth>
void Pack(const ProductPanel& panel) {
  constexpr size_t width = kWidth;
  const float* from = panel.from;
  float* to = panel.to;
  if (panel.count == width) {
    for (size_t k = 0; k < panel.depth; ++k, from += panel.pitch, to += width) {
      memcpy(to, from, width * sizeof(float));
    }
    return;
  }
  for (size_t k = 0; k < panel.depth; ++k, from += panel.pitch, to += width) {
    for (size_t i = 0; i < width; ++i) to[i] = i < panel.count ? from[i] : 0.0F;
  }
}

constexpr int kVectors = 2;

}  // namespace

extern const TransposedProductLoops kTransposedProduct = {
    kTileRows, static_cast<size_t>(kVectors* kLanes), Dispatch<kVectors, kTileRows, kTileRows>,
    Pack<kTileRows>, Pack<kVectors * kLanes>};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
