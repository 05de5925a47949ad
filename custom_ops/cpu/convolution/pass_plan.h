// How a pass is cut into tasks.
#pragma once

#include <cstddef>
#include <vector>

#include "cpu/convolution/loops.h"
#include "cpu/convolution/pass.h"

namespace svgd::convolution {

// Numbers of X of a chunk: its weights, times a panel, stay in the second cache.
constexpr size_t kChunk = 1024;

// A task is some panels, of any groups, of a block of pixels.
struct Plan {
  // `dense`: Tile's, which can have taps side by side as one run, and leave out runs.
  Plan(const Pass& pass, const Loops& loops, bool dense = true);

  size_t tasks() const { return blocks * panel_groups; }
  // Numbers of a row of the input as tiles find it.
  size_t row_numbers() const;
  size_t panel_weights() const { return runs * length * loops.panel; }

  const Pass& pass;
  const Loops& loops;
  bool dense;
  // Of how many runs side by side on the last axis, which lie side by side in X too, a tile can
  // make one where all of its pixels see them inside; 1 where they are not to be.
  size_t side_by_side;
  // Of how many examples pixels of one place follow one another, so that a tile sees the same taps
  // inside and leaves out the others; 0 where pixels of an example do.
  size_t examples;
  // How many rows of the input, and columns of each, a block sees, which is then copied with the
  // zeros around it, so that a tile's pixels all see the same taps; 0 where it is read as it lies.
  size_t window_rows, window_columns;
  size_t rows_of;       // of pixels, in a block that has a window
  bool by_rows;         // whether tiles are RowTile's
  bool in_place;        // whether these read X as it lies: no more than a column is outside
  size_t length, runs;  // of what an output pixel sees
  // How far each run lies from the first, for pixels that see nothing outside; and no distance.
  std::vector<size_t> shifts, no_shifts;
  size_t panels;         // of a group
  size_t panel_groups;   // that the panels of all groups are cut into
  size_t block, blocks;  // of pixels

 private:
  bool CanCopy() const;
  bool CanReadRows() const;
  void CutIntoBlocks();
};

}  // namespace svgd::convolution
