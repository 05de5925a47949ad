// A block of a pass' output pixels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cpu/convolution/pass_plan.h"

namespace svgd::convolution {

// What the pixels of a block see, and where they are written, tile by tile. It lies in the thread's
// memory: one at a time.
class PixelBlock {
 public:
  PixelBlock(const Plan& plan, const float* in, float* out, size_t index);

  size_t pixels() const { return pixels_; }
  // As Tile has them, for the first group: others' are as many channels behind.
  const float* const* rows(size_t tile) const {
    return rows_ + tile * plan_.runs * plan_.loops.pixels;
  }
  float* const* outs(size_t tile) const { return outs_ + tile * plan_.loops.pixels; }
  // What all see, where that is copied, and where each pixel is written.
  const float* window() const { return window_; }
  float* const* outs_from(size_t pixel) const { return outs_ + pixel; }
  // The runs that are not outside for all pixels of a tile, and how many.
  const uint32_t* seen(size_t tile) const {
    if (plan_.examples > 0) return seen_ + tile * plan_.runs;
    return merged(tile) ? merged_runs_ : seen_;
  }
  size_t seen_runs(size_t tile) const { return counts_[tile]; }
  // Whether the first run's pointers do for all, with the plan's shifts.
  bool uniform(size_t tile) const { return uniform_[tile]; }
  // Whether runs side by side are one.
  bool merged(size_t tile) const { return counts_[tile] < plan_.runs && plan_.examples == 0; }

 private:
  void TakeRows(size_t index);
  void CopyWindow();
  void PointByExample(float* out);
  void PointByPlace(float* out);
  void SeePlace(const float** to, const float* in, size_t in_pitch, size_t count,
                const std::array<int64_t, kMostAxes>& place, size_t tile);
  bool Start(int64_t example, int64_t i, int64_t j);
  void SeeInside(const float** to, int64_t column, size_t count, bool first_run) const;
  void See(const float** to, int64_t column) const;

  const Plan& plan_;
  const float* in_;
  size_t first_, pixels_, in_pitch_;
  float* window_;  // what the block sees of X, where the plan has it copied
  const float** rows_;
  const float** starts_;  // of the rows of X that a row of the output sees; null outside
  float** outs_;
  uint32_t* seen_;
  size_t* counts_;
  bool* uniform_;
  uint32_t* merged_runs_;  // the first of those that are one
  const float* zeros_;
};

}  // namespace svgd::convolution
