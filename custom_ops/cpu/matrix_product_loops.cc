// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is; multiplications are fused with additions where the set has that, as
// those of convolution are.
#include "cpu/matrix_product_loops.h"

#include "cpu/panel.h"
#include "cpu/vector.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

#if defined(__GNUC__)
#define SVGD_WILL_WRITE(address) __builtin_prefetch(address, 1)
#else
#define SVGD_WILL_WRITE(address) static_cast<void>(address)
#endif

// The sums go to C. Inlined, so that a number of columns that is known leaves no question of it.
template <int kVectors, int kRows>
SVGD_INLINE void Finish(const ProductTile& tile, size_t columns, Vector (&sums)[kRows][kVectors]) {
  if (tile.bias != nullptr) {
    Vector bias[kVectors];
    LoadSome<kVectors>(tile.bias, columns, bias);
    SVGD_UNROLL(16)
    for (int i = 0; i < kRows; ++i) {
      for (int v = 0; v < kVectors; ++v) sums[i][v] += bias[v];
    }
  }
  if (tile.add) {
    SVGD_UNROLL(16)
    for (int i = 0; i < kRows; ++i) {
      Vector before[kVectors];
      LoadSome<kVectors>(tile.c + static_cast<size_t>(i) * tile.pitch, columns, before);
      for (int v = 0; v < kVectors; ++v) sums[i][v] += before[v];
    }
  }
  SVGD_UNROLL(16)
  for (int i = 0; i < kRows; ++i) {
    StoreSome<kVectors>(sums[i], columns, tile.c + static_cast<size_t>(i) * tile.pitch);
  }
}

template <int kVectors, int kWidth, int kRows>
void RunRows(const ProductTile& tile) {
  constexpr int kPanel = kVectors * kLanes;
  // C lies in rows far apart, which no processor foresees.
  for (int i = 0; i < kRows; ++i) {
    float* row = tile.c + static_cast<size_t>(i) * tile.pitch;
    SVGD_WILL_WRITE(row);
    SVGD_WILL_WRITE(row + tile.columns - 1);
  }
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
  if (tile.columns == static_cast<size_t>(kPanel)) {
    Finish<kVectors, kRows>(tile, kPanel, sums);
  } else {
    Finish<kVectors, kRows>(tile, tile.columns, sums);
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
void Pack(const ProductPanels& panels) {
  constexpr size_t width = kWidth;
  const size_t whole = panels.count / width, left = panels.count % width;
  const float* from = panels.from;
  float* to = panels.to;
  for (size_t k = 0; k < panels.depth; ++k, from += panels.pitch, to += width) {
    float* panel = to;
    for (size_t i = 0; i < whole; ++i, panel += width * panels.depth) {
      memcpy(panel, from + i * width, width * sizeof(float));
    }
    if (left == 0) continue;
    for (size_t i = 0; i < width; ++i) panel[i] = i < left ? from[whole * width + i] : 0.0F;
  }
}

// So many rows become columns, in squares that stay in registers.
template <size_t kRows, size_t kWidth>
SVGD_INLINE void Turn(const float* from, size_t pitch, size_t depth, float* to) {
  constexpr size_t kSquare = 4;
  size_t k = 0;
  for (; k + kSquare <= depth; k += kSquare) {
    float square[kSquare][kRows];
    for (size_t i = 0; i < kRows; ++i) {
      for (size_t j = 0; j < kSquare; ++j) square[j][i] = from[i * pitch + k + j];
    }
    for (size_t j = 0; j < kSquare; ++j) {
      memcpy(to + (k + j) * kWidth, square[j], kRows * sizeof(float));
    }
  }
  for (; k < depth; ++k) {
    for (size_t i = 0; i < kRows; ++i) to[k * kWidth + i] = from[i * pitch + k];
  }
}

template <int kWidth>
void PackTurned(const ProductPanels& panels) {
  constexpr size_t width = kWidth, kTogether = width % 4 == 0 ? 4 : 2;
  for (size_t first = 0; first < panels.count; first += width) {
    const float* from = panels.from + first * panels.pitch;
    float* to = panels.to + first * panels.depth;
    const size_t left = panels.count - first, count = left < width ? left : width;
    size_t i = 0;
    for (; i + kTogether <= count; i += kTogether) {
      Turn<kTogether, width>(from + i * panels.pitch, panels.pitch, panels.depth, to + i);
    }
    for (; i < width; ++i) {
      const float* row = from + (i < count ? i * panels.pitch : 0);
      for (size_t k = 0; k < panels.depth; ++k) to[k * width + i] = i < count ? row[k] : 0.0F;
    }
  }
}

template <int kWidth>
constexpr PackPanels kPack = {Pack<kWidth>, PackTurned<kWidth>};

constexpr int kVectors = 2;

}  // namespace

extern const MatrixProductLoops kMatrixProduct = {kTileRows, static_cast<size_t>(kVectors* kLanes),
                                                  Dispatch<kVectors, kTileRows, kTileRows>,
                                                  kPack<kTileRows>, kPack<kVectors * kLanes>};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
