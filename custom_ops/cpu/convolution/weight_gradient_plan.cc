#include "cpu/convolution/weight_gradient_plan.h"

#include <algorithm>

#include "cpu/tasks.h"

namespace svgd::convolution {
namespace {

constexpr size_t kBlockPixels = 160;
// Products of X's numbers with a dY in a slice: dY is copied for each slice.
constexpr size_t kSliceProducts = 432;
constexpr size_t kMostSliceChannels = 240;
// Partial sums take no more numbers than these, unless there is one part only.
constexpr size_t kPartSums = 1024 * 1024;
// Few threads leave one without work at the end, with so many tasks.
constexpr size_t kTasks = 24;

size_t Whole(int64_t size) { return static_cast<size_t>(size); }

}  // namespace

WeightGradientPlan::WeightGradientPlan(const ConvolutionShape& its_shape, const Loops& its_loops)
    : shape(its_shape), loops(its_loops) {
  const auto& [a, b, c] = shape.axes;
  panels = DivideUp(shape.group_outputs(), loops.panel);
  columns_of = std::min(Whole(c.out), kBlockPixels);
  column_blocks = DivideUp(Whole(c.out), columns_of);
  columns_of = DivideUp(Whole(c.out), column_blocks);
  rows_of = column_blocks > 1 ? 1 : std::clamp<size_t>(kBlockPixels / columns_of, 1, Whole(b.out));
  row_blocks = DivideUp(Whole(b.out), rows_of);
  rows_of = DivideUp(Whole(b.out), row_blocks);
  const size_t planes = shape.batch * Whole(a.out);
  planes_of = row_blocks * column_blocks > 1
                  ? 1
                  : std::clamp<size_t>(kBlockPixels / (rows_of * columns_of), 1, planes);
  blocks = DivideUp(planes, planes_of) * row_blocks * column_blocks;
  parts =
      std::clamp<size_t>(kPartSums / std::max<size_t>(1, part_sums()), 1, std::min(blocks, kTasks));
  const size_t channels = shape.group_channels();
  const size_t most = std::clamp<size_t>(kSliceProducts / shape.taps(), 1, kMostSliceChannels);
  const size_t wanted = DivideUp(kTasks, parts * shape.groups);
  slices =
      std::max(DivideUp(channels, most), std::min(wanted, DivideUp(channels, 2 * loops.counts)));
  // Whole tiles, where there is more than one slice.
  slice = DivideUp(channels, slices);
  if (slices > 1) slice = std::min(channels, DivideUp(slice, loops.counts) * loops.counts);
  slices = DivideUp(channels, slice);
  const auto seen = [](const ConvolutionAxis& axis, size_t outs) {
    return (Whole(axis.stride) * (outs - 1) + Whole(axis.dilation * (axis.kernel - 1)) + 1);
  };
  window = shape.taps() > 1 && a.kernel == 1 && seen(b, rows_of) <= rows_of * Whole(b.kernel) &&
           seen(c, columns_of) <= columns_of * Whole(c.kernel);
}

GradientBlock WeightGradientPlan::Block(size_t index) const {
  const auto& [a, b, c] = shape.axes;
  GradientBlock block{};
  block.column = index % column_blocks * columns_of;
  index /= column_blocks;
  block.row = index % row_blocks * rows_of;
  block.plane = index / row_blocks * planes_of;
  block.columns = std::min(columns_of, Whole(c.out) - block.column);
  block.rows = std::min(rows_of, Whole(b.out) - block.row);
  block.planes = std::min(planes_of, shape.batch * Whole(a.out) - block.plane);
  return block;
}

}  // namespace svgd::convolution
