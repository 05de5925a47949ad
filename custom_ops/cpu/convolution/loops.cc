// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is; but here multiplications are fused with additions where the set has
// that, so results differ between sets within rounding.
#include "cpu/convolution/loops.h"

#include "cpu/vector.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

using convolution::DepthwiseTile;
using convolution::DepthwiseWeightTile;
using convolution::Loops;
using convolution::Tile;
using convolution::WeightTile;

// Sums of a tile fill the registers, but for a row of the panel and a number of X.
#if defined(__AVX512F__)
constexpr int kPixels = 12;
#elif defined(__aarch64__)
constexpr int kPixels = 8;
#else
constexpr int kPixels = 6;
#endif
constexpr int kPanel = 2 * kLanes;

SVGD_INLINE void StorePart(const Vector& low, const Vector& high, size_t columns, float* out) {
  float panel[kPanel];
  Store(low, panel);
  Store(high, panel + kLanes);
  for (size_t c = 0; c < columns; ++c) out[c] = panel[c];
}

SVGD_INLINE void LoadPart(const float* from, size_t columns, Vector* low, Vector* high) {
  float panel[kPanel] = {};
  for (size_t c = 0; c < columns; ++c) panel[c] = from[c];
  *low = Load(panel);
  *high = Load(panel + kLanes);
}

void RunTile(const Tile& tile) {
  Vector sums[kPixels][2] = {};
  if (tile.start != nullptr) {
    const Vector low = Load(tile.start), high = Load(tile.start + kLanes);
    SVGD_UNROLL(16)
    for (int i = 0; i < kPixels; ++i) sums[i][0] = low, sums[i][1] = high;
  }
  const float* weights = tile.weights;
  const float* const* rows = tile.rows;
  for (size_t run = 0; run < tile.runs; ++run, rows += kPixels) {
    const float* x[kPixels];
    SVGD_UNROLL(16)
    for (int i = 0; i < kPixels; ++i) x[i] = rows[i] + tile.offset;
    for (size_t c = 0; c < tile.length; ++c, weights += kPanel) {
      const Vector low = Load(weights), high = Load(weights + kLanes);
      SVGD_UNROLL(16)
      for (int i = 0; i < kPixels; ++i) {
        sums[i][0] += x[i][c] * low;
        sums[i][1] += x[i][c] * high;
      }
    }
  }
  const bool whole = tile.columns == kPanel;
  SVGD_UNROLL(16)
  for (int i = 0; i < kPixels; ++i) {
    if (static_cast<size_t>(i) < tile.pixels) {
      float* out = tile.out[i];
      Vector low = sums[i][0], high = sums[i][1];
      if (whole) {
        if (tile.add) low += Load(out), high += Load(out + kLanes);
        Store(low, out);
        Store(high, out + kLanes);
      } else {
        if (tile.add) {
          Vector before_low, before_high;
          LoadPart(out, tile.columns, &before_low, &before_high);
          low += before_low, high += before_high;
        }
        StorePart(low, high, tile.columns, out);
      }
    }
  }
}

template <int kCount>
void SumWeightTile(const WeightTile& tile) {
  Vector sums[kCount][2] = {};
  const float* dy = tile.dy;
  for (size_t plane = 0; plane < tile.planes; ++plane) {
    for (size_t row = 0; row < tile.rows; ++row) {
      const float* x = tile.x + plane * tile.plane_pitch + row * tile.row_pitch;
      for (size_t column = 0; column < tile.columns;
           ++column, dy += kPanel, x += tile.pixel_pitch) {
        const Vector low = Load(dy), high = Load(dy + kLanes);
        SVGD_UNROLL(16)
        for (int i = 0; i < kCount; ++i) {
          sums[i][0] += x[i] * low;
          sums[i][1] += x[i] * high;
        }
      }
    }
  }
  float* sum = tile.sum;
  SVGD_UNROLL(16)
  for (int i = 0; i < kCount; ++i, sum += kPanel) {
    Store(Load(sum) + sums[i][0], sum);
    Store(Load(sum + kLanes) + sums[i][1], sum + kLanes);
  }
}

template <int kCount>
void DispatchWeightTile(const WeightTile& tile, size_t count) {
  if (count == static_cast<size_t>(kCount)) {
    SumWeightTile<kCount>(tile);
  } else if constexpr (kCount > 1) {
    DispatchWeightTile<kCount - 1>(tile, count);
  }
}

SVGD_INLINE void LoadSome(const float* from, size_t columns, Vector* low, Vector* high) {
  if (columns == static_cast<size_t>(kPanel)) {
    *low = Load(from);
    *high = Load(from + kLanes);
  } else {
    LoadPart(from, columns, low, high);
  }
}

// The channels from c on, a panel of them or what is left.
SVGD_INLINE void RunDepthwisePanel(const DepthwiseTile& tile, size_t c, size_t columns) {
  Vector sums[kPixels][2] = {};
  if (tile.start != nullptr) {
    Vector low, high;
    LoadSome(tile.start + c, columns, &low, &high);
    SVGD_UNROLL(16)
    for (int i = 0; i < kPixels; ++i) sums[i][0] = low, sums[i][1] = high;
  }
  const float* weights = tile.weights + c;
  const float* const* rows = tile.rows;
  for (size_t run = 0; run < tile.runs; ++run, rows += kPixels, weights += tile.weight_pitch) {
    const Vector w_low = Load(weights), w_high = Load(weights + kLanes);
    SVGD_UNROLL(16)
    for (int i = 0; i < kPixels; ++i) {
      Vector low, high;
      LoadSome(rows[i] + c, columns, &low, &high);
      sums[i][0] += low * w_low;
      sums[i][1] += high * w_high;
    }
  }
  SVGD_UNROLL(16)
  for (int i = 0; i < kPixels; ++i) {
    if (static_cast<size_t>(i) < tile.pixels) {
      float* out = tile.out[i] + c;
      if (columns == static_cast<size_t>(kPanel)) {
        Store(sums[i][0], out);
        Store(sums[i][1], out + kLanes);
      } else {
        StorePart(sums[i][0], sums[i][1], columns, out);
      }
    }
  }
}

void RunDepthwiseTile(const DepthwiseTile& tile) {
  size_t c = 0;
  for (; c + kPanel <= tile.channels; c += kPanel) RunDepthwisePanel(tile, c, kPanel);
  if (c < tile.channels) RunDepthwisePanel(tile, c, tile.channels - c);
}

SVGD_INLINE void SumDepthwisePanel(const DepthwiseWeightTile& tile, size_t c, size_t columns) {
  Vector dy[kPixels][2] = {};
  for (int i = 0; i < kPixels; ++i) {
    if (static_cast<size_t>(i) < tile.pixels) {
      LoadSome(tile.dy[i] + c, columns, &dy[i][0], &dy[i][1]);
      if (tile.factor != nullptr) {
        Vector low, high;
        LoadSome(tile.factor[i] + c, columns, &low, &high);
        dy[i][0] = dy[i][0] * low;
        dy[i][1] = dy[i][1] * high;
      }
    }
  }
  float* sums = tile.sums + c;
  const float* const* rows = tile.rows;
  for (size_t run = 0; run < tile.runs; ++run, rows += kPixels, sums += tile.weight_pitch) {
    Vector sum_low = Load(sums), sum_high = Load(sums + kLanes);
    SVGD_UNROLL(16)
    for (int i = 0; i < kPixels; ++i) {
      Vector low, high;
      LoadSome(rows[i] + c, columns, &low, &high);
      sum_low += low * dy[i][0];
      sum_high += high * dy[i][1];
    }
    Store(sum_low, sums);
    Store(sum_high, sums + kLanes);
  }
  Vector sum_low = Load(sums), sum_high = Load(sums + kLanes);
  SVGD_UNROLL(16)
  for (int i = 0; i < kPixels; ++i) {
    sum_low += dy[i][0];
    sum_high += dy[i][1];
  }
  Store(sum_low, sums);
  Store(sum_high, sums + kLanes);
}

void SumDepthwiseTile(const DepthwiseWeightTile& tile) {
  size_t c = 0;
  for (; c + kPanel <= tile.channels; c += kPanel) SumDepthwisePanel(tile, c, kPanel);
  if (c < tile.channels) SumDepthwisePanel(tile, c, tile.channels - c);
}

}  // namespace

extern const Loops kConvolutionLoops = {
    kPanel,           kPixels,         kPixels, RunTile, DispatchWeightTile<kPixels>,
    RunDepthwiseTile, SumDepthwiseTile};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
