#include "cpu/convolution/pass_plan.h"

#include <algorithm>

namespace svgd::convolution {
namespace {

constexpr size_t kBlockPixels = 96;
// Fewer tasks than these leave threads without work at the end.
constexpr size_t kTasks = 24;
constexpr size_t kMostPointers = 1 << 16;

// Where no more than these of what is seen are inside, leaving out the others is worth that a
// tile's pixels lie examples apart, at places that may share a set of the first cache.
constexpr double kMostInside = 0.9;
constexpr int64_t kMostCounted = 4096;

// Of so few channels runs are short: to find them takes longer than to copy the numbers once.
constexpr size_t kShortRun = 16;

// The part of what the pixels see that is not outside.
double Inside(const Pass& pass) {
  double part = 1;
  for (const PassAxis& axis : pass.axes) {
    if (axis.pixels > kMostCounted / axis.taps) continue;  // of long axes little is outside
    int64_t inside = 0;
    for (int64_t t = 0; t < axis.pixels; ++t) {
      for (int64_t j = 0; j < axis.taps; ++j) {
        const int64_t at = axis.first + t * axis.stride + j * axis.step;
        inside += at >= 0 && at < axis.in ? 1 : 0;
      }
    }
    part *= static_cast<double>(inside) / static_cast<double>(axis.pixels * axis.taps);
  }
  return part;
}

}  // namespace

Plan::Plan(const Pass& its_pass, const Loops& its_loops, bool is_dense)
    : pass(its_pass), loops(its_loops), dense(is_dense) {
  examples = dense && pass.batch >= loops.pixels && Inside(pass) < kMostInside
                 ? std::min(pass.batch, 2 * loops.pixels)
                 : 0;
  length = pass.channels;
  runs = pass.taps();
  const PassAxis& last = pass.axes[2];
  const bool merges =
      dense && examples == 0 && pass.groups == 1 && last.step == 1 && runs * length <= kChunk;
  side_by_side = merges ? static_cast<size_t>(last.taps) : 1;
  panels = DivideUp(pass.outputs, loops.panel);
  CutIntoBlocks();
  panel_groups = std::min(panels * pass.groups, DivideUp(kTasks, blocks));
  const auto& [a, b, c] = pass.axes;
  for (int64_t p = 0; p < a.taps; ++p) {
    for (int64_t q = 0; q < b.taps; ++q) {
      for (int64_t r = 0; r < c.taps; ++r) {
        const auto row = static_cast<size_t>(p * a.step * b.in + q * b.step);
        const size_t in_pitch = pass.groups * pass.channels;
        shifts.push_back(row * row_numbers() + static_cast<size_t>(r * c.step) * in_pitch);
      }
    }
  }
  no_shifts.resize(runs);
}

size_t Plan::row_numbers() const {
  const size_t columns = window_columns > 0 ? window_columns : static_cast<size_t>(pass.axes[2].in);
  return columns * pass.groups * pass.channels;
}

bool Plan::CanCopy() const {
  const auto& [a, b, c] = pass.axes;
  const bool sees_outside = c.first < 0 || c.first + (c.pixels - 1) * c.stride + c.taps > c.in;
  return side_by_side > 1 && a.taps == 1 && b.step > 0 && length <= kShortRun && sees_outside &&
         static_cast<size_t>(c.pixels) <= kBlockPixels;
}

bool Plan::CanReadRows() const {
  const auto& [a, b, c] = pass.axes;
  return dense && pass.groups == 1 && a.taps == 1 && b.step > 0 && c.stride == 1 && c.step == 1 &&
         c.taps == static_cast<int64_t>(kRowTaps) &&
         c.pixels >= static_cast<int64_t>(loops.row_pixels) && c.first >= -1 &&
         c.first + c.pixels + 1 <= c.in;
}

void Plan::CutIntoBlocks() {
  const auto& [a, b, c] = pass.axes;
  window_rows = window_columns = rows_of = 0;
  const bool copied = CanCopy();
  in_place = examples == 0 && CanReadRows();
  by_rows = in_place ||
            (copied && panels == 1 && c.stride == 1 && c.taps == static_cast<int64_t>(kRowTaps));
  if (copied || in_place) {
    const auto columns = static_cast<size_t>(c.pixels), rows = static_cast<size_t>(b.pixels);
    rows_of = std::min(std::max<size_t>(1, kBlockPixels / columns), rows);
    block = DivideUp(rows_of * columns, loops.pixels) * loops.pixels;
    blocks = pass.batch * static_cast<size_t>(a.pixels) * DivideUp(rows, rows_of);
    if (in_place) return;
    window_rows = static_cast<size_t>((b.taps - 1) * b.step + 1) +
                  (rows_of - 1) * static_cast<size_t>(b.stride);
    window_columns = static_cast<size_t>(c.taps + (c.pixels - 1) * c.stride);
    return;
  }
  const size_t most = std::max(
      loops.pixels, std::min(kBlockPixels, kMostPointers / runs) / loops.pixels * loops.pixels);
  const size_t pixels = pass.pixels();
  block = DivideUp(DivideUp(pixels, DivideUp(pixels, most)), loops.pixels) * loops.pixels;
  blocks = DivideUp(pixels, block);
}

}  // namespace svgd::convolution
