#include "cpu/convolution/rows_in_place.h"

#include <algorithm>

#include "cpu/prefetch.h"
#include "cpu/tasks.h"

namespace svgd::convolution {

RowsInPlace::RowsInPlace(const Plan& plan, const float* in, float* out, size_t index)
    : plan_(plan), zeros_(plan.length) {
  const auto& [a, b, c] = plan.pass.axes;
  const auto rows = static_cast<size_t>(b.pixels);
  const size_t of_plane = DivideUp(rows, plan.rows_of);
  first_row_ = index % of_plane * plan.rows_of;
  last_row_ = std::min(first_row_ + plan.rows_of, rows);
  const auto plane = static_cast<int64_t>(index / of_plane);
  const int64_t example = plane / a.pixels, place = plane % a.pixels;
  const int64_t of_in = a.first + place * a.stride;
  const int64_t of_out = a.out_first + place * a.out_stride;
  const bool inside = of_in >= 0 && of_in < a.in;
  const auto pixel = static_cast<size_t>((example * a.in + of_in) * b.in * c.in);
  const auto out_pixel = static_cast<size_t>((example * a.out + of_out) * b.out * c.out);
  plane_ = inside ? in + pixel * plan.length : nullptr;
  out_plane_ = out + out_pixel * plan.pass.outputs;
}

void RowsInPlace::Run(size_t panel, const float* packed, const float* bias) const {
  const size_t output = panel * plan_.loops.panel;
  RowTile tile{};
  tile.row_pitch = static_cast<size_t>(plan_.pass.axes[1].step) * plan_.row_numbers();
  tile.channels = plan_.length;
  tile.weights = packed + panel * plan_.panel_weights();
  tile.start = bias == nullptr ? nullptr : bias + output;
  tile.pixels = plan_.loops.row_pixels;
  tile.columns = std::min(plan_.loops.panel, plan_.pass.outputs - output);
  for (size_t row = first_row_; row < last_row_; ++row) {
    RunRow(tile, static_cast<int64_t>(row), output);
  }
}

void RowsInPlace::RunRow(RowTile tile, int64_t row, size_t output) const {
  const PassAxis& b = plan_.pass.axes[1];
  const PassAxis& c = plan_.pass.axes[2];
  // The taps that are not outside, from the first to the last.
  int64_t tap = 0, taps = plane_ == nullptr ? 0 : b.taps;
  int64_t in_row = b.first + row * b.stride;
  for (; tap < taps && in_row < 0; ++tap) in_row += b.step;
  while (taps > tap && in_row + (taps - tap - 1) * b.step >= b.in) --taps;
  tile.rows = static_cast<size_t>(taps - tap);
  tile.weights += static_cast<size_t>(tap) * kRowTaps * plan_.length * plan_.loops.panel;
  const float* from = zeros_.data();  // which is not read where there are no rows
  if (tile.rows > 0) from = plane_ + static_cast<size_t>(in_row) * plan_.row_numbers();
  const auto out_row = static_cast<size_t>(b.out_first + row * b.out_stride);
  float* to = out_plane_ + out_row * static_cast<size_t>(c.out) * plan_.pass.outputs + output;
  const auto width = static_cast<int64_t>(tile.pixels);
  for (int64_t column = 0; column < c.pixels; column += width) {
    // The last tile may make some pixels of the one before again.
    RunTile(tile, from, std::min(column, c.pixels - width), to, output == 0);
  }
}

// The tile from this column of pixels on.
void RowsInPlace::RunTile(RowTile tile, const float* row, int64_t column, float* to,
                          bool expect_next) const {
  const PassAxis& c = plan_.pass.axes[2];
  const int64_t before = c.first + column;
  const int64_t behind = before + static_cast<int64_t>(tile.pixels) + 1;
  const auto place = [&](int64_t at) { return row + static_cast<size_t>(at) * plan_.length; };
  float* outs[kMostTilePixels];
  tile.out = outs;
  if (tile.rows > 0) tile.x = place(before + 1);
  tile.before = tile.behind = zeros_.data();
  if (before >= 0 && tile.rows > 0) tile.before = place(before), tile.before_pitch = tile.row_pitch;
  if (behind < c.in && tile.rows > 0)
    tile.behind = place(behind), tile.behind_pitch = tile.row_pitch;
  for (size_t i = 0; i < tile.pixels; ++i) {
    const int64_t pixel = c.out_first + (column + static_cast<int64_t>(i)) * c.out_stride;
    outs[i] = to + static_cast<size_t>(pixel) * plan_.pass.outputs;
    PrefetchToWrite(outs[i]);
  }
  if (expect_next && tile.rows > 0) {
    const float* next = tile.x + (last_row_ - first_row_ + tile.rows - 1) * tile.row_pitch;
    for (size_t at = 0; at < tile.pixels * plan_.length; at += kLineNumbers)
      PrefetchToRead(next + at);
  }
  plan_.loops.row_tile(tile);
}

}  // namespace svgd::convolution
