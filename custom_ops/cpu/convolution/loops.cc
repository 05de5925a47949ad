// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is; but here multiplications are fused with additions where the set has
// that, so results differ between sets within rounding.
#include "cpu/convolution/loops.h"

#include "cpu/panel.h"
#include "cpu/vector.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

using convolution::DepthwiseTile;
using convolution::DepthwiseWeightTile;
using convolution::kRowTaps;
using convolution::Loops;
using convolution::LoopsOfSet;
using convolution::PanelCopy;
using convolution::RowTile;
using convolution::Tile;
using convolution::WeightTile;

template <int kVectors, int kPixels>
void RunTile(const Tile& tile) {
  constexpr int kPanel = kVectors * kLanes;
  Vector sums[kPixels][kVectors] = {};
  if (tile.start != nullptr) {
    SVGD_UNROLL(16)
    for (int i = 0; i < kPixels; ++i) {
      for (int v = 0; v < kVectors; ++v) sums[i][v] = Load(tile.start + v * kLanes);
    }
  }
  for (size_t i = 0; i < tile.runs; ++i) {
    const size_t run = tile.seen[i];
    const float* const* rows = tile.rows + run * tile.row_pitch;
    const size_t shift = tile.offset + tile.shifts[run];
    const float* weights = tile.weights + run * tile.run_weights;
    const float* x[kPixels];
    SVGD_UNROLL(16)
    for (int p = 0; p < kPixels; ++p) x[p] = rows[p] + shift;
    for (size_t c = 0; c < tile.length; ++c, weights += kPanel) {
      Vector w[kVectors];
      for (int v = 0; v < kVectors; ++v) w[v] = Load(weights + v * kLanes);
      SVGD_UNROLL(16)
      for (int i = 0; i < kPixels; ++i) {
        for (int v = 0; v < kVectors; ++v) sums[i][v] += x[i][c] * w[v];
      }
    }
  }
  SVGD_UNROLL(16)
  for (int i = 0; i < kPixels; ++i) {
    if (static_cast<size_t>(i) < tile.pixels) {
      if (tile.add) {
        Vector before[kVectors];
        LoadSome<kVectors>(tile.out[i], tile.columns, before);
        for (int v = 0; v < kVectors; ++v) sums[i][v] += before[v];
      }
      StoreSome<kVectors>(sums[i], tile.columns, tile.out[i]);
    }
  }
}

template <int kVectors, int kPixels>
void RunRowTile(const RowTile& tile) {
  constexpr int kPanel = kVectors * kLanes;
  Vector sums[kPixels][kVectors] = {};
  if (tile.start != nullptr) {
    SVGD_UNROLL(16)
    for (int i = 0; i < kPixels; ++i) {
      for (int v = 0; v < kVectors; ++v) sums[i][v] = Load(tile.start + v * kLanes);
    }
  }
  const size_t run = tile.channels * kPanel;
  const float* weights = tile.weights;
  for (size_t row = 0; row < tile.rows; ++row, weights += kRowTaps * run) {
    const float* x = tile.x + row * tile.row_pitch;
    const float* before = tile.before + row * tile.before_pitch;
    const float* behind = tile.behind + row * tile.behind_pitch;
    const float* of_taps = weights;
    for (size_t c = 0; c < tile.channels; ++c, of_taps += kPanel) {
      Vector first[kVectors], second[kVectors], third[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        first[v] = Load(of_taps + v * kLanes);
        second[v] = Load(of_taps + run + v * kLanes);
        third[v] = Load(of_taps + 2 * run + v * kLanes);
      }
      const float* at = x + c;
      for (int v = 0; v < kVectors; ++v) sums[0][v] += before[c] * first[v];
      SVGD_UNROLL(16)
      for (int i = 0; i < kPixels; ++i, at += tile.channels) {
        for (int v = 0; v < kVectors; ++v) {
          if (i + 1 < kPixels) sums[i + 1][v] += *at * first[v];
          sums[i][v] += *at * second[v];
          if (i >= 1) sums[i - 1][v] += *at * third[v];
        }
      }
      for (int v = 0; v < kVectors; ++v) sums[kPixels - 1][v] += behind[c] * third[v];
    }
  }
  SVGD_UNROLL(16)
  for (int i = 0; i < kPixels; ++i) {
    if (static_cast<size_t>(i) < tile.pixels) {
      StoreSome<kVectors>(sums[i], tile.columns, tile.out[i]);
    }
  }
}

template <int kVectors, int kCount>
void SumWeightTile(const WeightTile& tile) {
  constexpr int kPanel = kVectors * kLanes;
  Vector sums[kCount][kVectors] = {};
  for (size_t plane = 0; plane < tile.planes; ++plane) {
    for (size_t row = 0; row < tile.rows; ++row) {
      const float* x = tile.x + plane * tile.plane_pitch + row * tile.row_pitch;
      const float* dy = tile.dy + plane * tile.dy_plane_pitch + row * tile.dy_row_pitch;
      for (size_t column = 0; column < tile.columns;
           ++column, dy += kPanel, x += tile.pixel_pitch) {
        Vector of_dy[kVectors];
        for (int v = 0; v < kVectors; ++v) of_dy[v] = Load(dy + v * kLanes);
        SVGD_UNROLL(24)
        for (int i = 0; i < kCount; ++i) {
          for (int v = 0; v < kVectors; ++v) sums[i][v] += x[i] * of_dy[v];
        }
      }
    }
  }
  float* sum = tile.sum;
  SVGD_UNROLL(24)
  for (int i = 0; i < kCount; ++i, sum += kPanel) {
    for (int v = 0; v < kVectors; ++v) {
      Store(Load(sum + v * kLanes) + sums[i][v], sum + v * kLanes);
    }
  }
}

template <int kVectors, int kCount>
void DispatchWeightTile(const WeightTile& tile, size_t count) {
  if (count == static_cast<size_t>(kCount)) {
    SumWeightTile<kVectors, kCount>(tile);
  } else if constexpr (kCount > 1) {
    DispatchWeightTile<kVectors, kCount - 1>(tile, count);
  }
}

template <int kVectors>
void CopyPanels(const PanelCopy& copy) {
  constexpr size_t kPanel = kVectors * kLanes;
  for (size_t pixel = 0; pixel < copy.pixels; ++pixel) {
    const float* from = copy.from + pixel * copy.pitch;
    const float* factor = copy.factor + (copy.factor == nullptr ? 0 : pixel * copy.factor_pitch);
    float* to = copy.to + pixel * kPanel;
    for (size_t c = 0; c < copy.columns; c += kPanel, to += copy.panel_pitch) {
      const size_t columns = copy.columns - c < kPanel ? copy.columns - c : kPanel;
      Vector numbers[kVectors];
      LoadSome<kVectors>(from + c, columns, numbers);
      if (factor != nullptr) {
        Vector times[kVectors];
        LoadSome<kVectors>(factor + c, columns, times);
        for (int v = 0; v < kVectors; ++v) numbers[v] = numbers[v] * times[v];
      }
      for (int v = 0; v < kVectors; ++v) Store(numbers[v], to + v * kLanes);
    }
  }
}

// The channels from c on, a panel of them or what is left.
template <int kVectors, int kPixels>
SVGD_INLINE void RunDepthwisePanel(const DepthwiseTile& tile, size_t c, size_t columns) {
  Vector sums[kPixels][kVectors] = {};
  if (tile.start != nullptr) {
    Vector start[kVectors];
    LoadSome<kVectors>(tile.start + c, columns, start);
    SVGD_UNROLL(16)
    for (int i = 0; i < kPixels; ++i) {
      for (int v = 0; v < kVectors; ++v) sums[i][v] = start[v];
    }
  }
  const float* weights = tile.weights + c;
  const float* const* rows = tile.rows;
  for (size_t run = 0; run < tile.runs; ++run, rows += kPixels, weights += tile.weight_pitch) {
    Vector w[kVectors];
    for (int v = 0; v < kVectors; ++v) w[v] = Load(weights + v * kLanes);
    SVGD_UNROLL(16)
    for (int i = 0; i < kPixels; ++i) {
      Vector x[kVectors];
      LoadSome<kVectors>(rows[i] + c, columns, x);
      for (int v = 0; v < kVectors; ++v) sums[i][v] += x[v] * w[v];
    }
  }
  SVGD_UNROLL(16)
  for (int i = 0; i < kPixels; ++i) {
    if (static_cast<size_t>(i) < tile.pixels) {
      StoreSome<kVectors>(sums[i], columns, tile.out[i] + c);
    }
  }
}

template <int kVectors, int kPixels>
void RunDepthwiseTile(const DepthwiseTile& tile) {
  constexpr size_t kPanel = kVectors * kLanes;
  size_t c = 0;
  for (; c + kPanel <= tile.channels; c += kPanel) {
    RunDepthwisePanel<kVectors, kPixels>(tile, c, kPanel);
  }
  if (c < tile.channels) RunDepthwisePanel<kVectors, kPixels>(tile, c, tile.channels - c);
}

template <int kVectors, int kPixels>
SVGD_INLINE void SumDepthwisePanel(const DepthwiseWeightTile& tile, size_t c, size_t columns) {
  Vector dy[kPixels][kVectors] = {};
  for (int i = 0; i < kPixels; ++i) {
    if (static_cast<size_t>(i) < tile.pixels) {
      LoadSome<kVectors>(tile.dy[i] + c, columns, dy[i]);
      if (tile.factor != nullptr) {
        Vector factor[kVectors];
        LoadSome<kVectors>(tile.factor[i] + c, columns, factor);
        for (int v = 0; v < kVectors; ++v) dy[i][v] = dy[i][v] * factor[v];
      }
    }
  }
  float* sums = tile.sums + c;
  const float* const* rows = tile.rows;
  for (size_t run = 0; run <= tile.runs; ++run, rows += kPixels, sums += tile.weight_pitch) {
    Vector sum[kVectors];
    for (int v = 0; v < kVectors; ++v) sum[v] = Load(sums + v * kLanes);
    if (run < tile.runs) {
      SVGD_UNROLL(16)
      for (int i = 0; i < kPixels; ++i) {
        Vector x[kVectors];
        LoadSome<kVectors>(rows[i] + c, columns, x);
        for (int v = 0; v < kVectors; ++v) sum[v] += x[v] * dy[i][v];
      }
    } else {
      SVGD_UNROLL(16)
      for (int i = 0; i < kPixels; ++i) {
        for (int v = 0; v < kVectors; ++v) sum[v] += dy[i][v];
      }
    }
    for (int v = 0; v < kVectors; ++v) Store(sum[v], sums + v * kLanes);
  }
}

template <int kVectors, int kPixels>
void SumDepthwiseTile(const DepthwiseWeightTile& tile) {
  constexpr size_t kPanel = kVectors * kLanes;
  size_t c = 0;
  for (; c + kPanel <= tile.channels; c += kPanel) {
    SumDepthwisePanel<kVectors, kPixels>(tile, c, kPanel);
  }
  if (c < tile.channels) SumDepthwisePanel<kVectors, kPixels>(tile, c, tile.channels - c);
}

// Sums of a row of pixels that are in registers, beside three taps' weights and a number of X; and
// sums of dW beside a vector of dY.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRowPixels = 16;
constexpr int kNarrowCounts = 24;
#else
constexpr int kRowPixels = 8;
constexpr int kNarrowCounts = 12;
#endif

template <int kVectors, int kPixels, int kCounts>
constexpr Loops kLoops = {static_cast<size_t>(kVectors * kLanes),
                          kPixels,
                          kCounts,
                          kRowPixels / kVectors,
                          RunTile<kVectors, kPixels>,
                          RunRowTile<kVectors, kRowPixels / kVectors>,
                          DispatchWeightTile<kVectors, kCounts>,
                          CopyPanels<kVectors>,
                          RunDepthwiseTile<kVectors, kPixels>,
                          SumDepthwiseTile<kVectors, kPixels>};

}  // namespace

// No more pixels than there are registers for their addresses.
extern const LoopsOfSet kConvolutionLoops = {kLoops<2, kTileRows, kTileRows>,
                                             kLoops<1, 12, kNarrowCounts>};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
