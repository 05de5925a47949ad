// The innermost loops of convolution. loops.cc is compiled once for each instruction set that a
// processor may have.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/instruction_set.h"

namespace svgd::convolution {

// A panel is as many output channels as a tile has, side by side; channels that are missing are
// zeros in packed weights, and not written.

// A tile of Y: `pixels` (fewer at the end) times a panel. Each of them sees `runs` runs of `length`
// numbers of X: which, of those that there are, `seen` says.
struct Tile {
  // For each run Loops::pixels pointers, `row_pitch` (perhaps 0) from one's to the next, and how
  // far from there it begins; missing pixels' can be read.
  const float* const* rows;
  size_t row_pitch;
  const size_t* shifts;
  const uint32_t* seen;
  size_t runs;
  size_t offset;  // of what is read, from each of the pointers
  size_t length;
  const float* weights;  // for each run length x panel
  size_t run_weights;    // from one run's to the next
  const float* start;    // a panel to begin with, or null for zeros, or for what is in `out`
  bool add;              // begins with what is in `out`
  float* const* out;     // for each pixel
  size_t pixels;
  size_t columns;  // of the panel that are written
};

// A tile of Y where there is one panel: pixels side by side, each of which sees kRowTaps columns of
// some rows of X. A number of X is read once for all pixels that see it.
constexpr size_t kRowTaps = 3;
struct RowTile {
  // The first pixel's second column; Loops::row_pixels columns of it can be read. What lies before
  // and behind them can lie elsewhere, as zeros do.
  const float* x;
  const float* before;
  const float* behind;
  size_t row_pitch, before_pitch, behind_pitch, rows;
  size_t channels;       // of X
  const float* weights;  // rows x kRowTaps x channels x panel
  const float* start;    // a panel to begin with, or null
  float* const* out;     // for each pixel
  size_t pixels;
  size_t columns;  // of the panel that are written
};

// A tile of dW: `count` numbers of a run of X, times a panel of dY, summed over pixels that lie in
// `planes` of `rows` of `columns`.
struct WeightTile {
  const float* x;
  size_t plane_pitch, row_pitch, pixel_pitch;
  const float* dy;  // for each pixel a panel
  size_t dy_plane_pitch, dy_row_pitch;
  size_t planes, rows, columns;
  float* sum;  // count x panel, added to
};

// Numbers of pixels side by side that are laid out panel by panel, times a factor.
struct PanelCopy {
  const float* from;  // pixels x pitch
  size_t pitch, pixels;
  size_t columns;       // that are copied; zeros behind, up to a panel
  const float* factor;  // null, or for each pixel
  size_t factor_pitch;  // 0 where all pixels have the same
  float* to;            // panels x panel_pitch, of which each has pixels x panel
  size_t panel_pitch;
};

// Pixels of which each output channel sees its own input channel only.
struct DepthwiseTile {
  const float* const* rows;  // as Tile has them
  size_t runs;
  size_t channels;       // of X and Y
  size_t weight_pitch;   // a multiple of a panel, at least `channels`
  const float* weights;  // runs x weight_pitch
  const float* start;    // to begin with, or null
  float* const* out;
  size_t pixels;
};

// What such pixels give to dW.
struct DepthwiseWeightTile {
  const float* const* rows;
  size_t runs, channels, weight_pitch;
  const float* const* dy;      // for each pixel
  const float* const* factor;  // that dY is multiplied by, for each pixel, or null
  size_t pixels;
  float* sums;  // (runs + 1) x weight_pitch, added to; the last are of dY itself
};

constexpr size_t kMostTilePixels = 16;

struct Loops {
  size_t panel;
  size_t pixels;  // of a tile
  size_t counts;  // numbers of X of a tile of dW, at most
  size_t row_pixels;

  void (*tile)(const Tile& tile);
  void (*row_tile)(const RowTile& tile);
  void (*weight_tile)(const WeightTile& tile, size_t count);
  void (*copy_panels)(const PanelCopy& copy);
  void (*depthwise_tile)(const DepthwiseTile& tile);
  void (*depthwise_weight_tile)(const DepthwiseWeightTile& tile);
};

// Those of an instruction set: a panel is two vectors wide, or one where there are no more outputs.
struct LoopsOfSet {
  Loops wide, narrow;

  const Loops& For(size_t outputs) const { return outputs > narrow.panel ? wide : narrow; }
};

// Those for an instruction set; of the baseline where there are none for it.
const LoopsOfSet& LoopsFor(InstructionSet set);

// Those for the widest of this processor.
const LoopsOfSet& WidestLoops();

}  // namespace svgd::convolution
