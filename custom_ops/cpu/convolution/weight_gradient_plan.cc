#include "cpu/convolution/weight_gradient_plan.h"

#include <algorithm>

#include "cpu/tasks.h"

namespace svgd::convolution {
namespace {

constexpr size_t kBlockPixels = 160;
// Products of X's numbers with a dY in a slice, whose copy stays in a cache.
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
  CutIntoTasks();
  const auto seen = [](const ConvolutionAxis& axis, size_t outs) {
    return (Whole(axis.stride) * (outs - 1) + Whole(axis.dilation * (axis.kernel - 1)) + 1);
  };
  window = shape.taps() > 1 && a.kernel == 1 && seen(b, rows_of) <= rows_of * Whole(b.kernel) &&
           seen(c, columns_of) <= columns_of * Whole(c.kernel);
}

// Slices and stacks: enough for the tasks, and of those that are, such that least is copied, as dY
// is for each slice, and X for each stack.
void WeightGradientPlan::CutIntoTasks() {
  const size_t channels = shape.group_channels();
  const size_t most = std::clamp<size_t>(kSliceProducts / shape.taps(), 1, kMostSliceChannels);
  const size_t wanted = DivideUp(kTasks, parts * shape.groups);
  const size_t fewest_slices = DivideUp(channels, most);
  const size_t most_slices = std::max(fewest_slices, DivideUp(channels, 2 * loops.counts));
  size_t best_tasks = 0, least_copied = 0;
  for (size_t count = 1; count <= std::max<size_t>(1, std::min(wanted, panels)); ++count) {
    const size_t cut = std::clamp(DivideUp(wanted, count), fewest_slices, most_slices);
    const size_t tasks = std::min(wanted, count * cut);
    const size_t copied = cut * shape.group_outputs() + count * channels;
    if (tasks > best_tasks || (tasks == best_tasks && copied < least_copied)) {
      best_tasks = tasks, least_copied = copied;
      stacks = count, slices = cut;
    }
  }
  stack = std::max<size_t>(1, DivideUp(panels, stacks));
  stacks = std::max<size_t>(1, DivideUp(panels, stack));
  // Whole tiles, where there is more than one slice.
  slice = DivideUp(channels, slices);
  if (slices > 1) slice = std::min(channels, DivideUp(slice, loops.counts) * loops.counts);
  slices = DivideUp(channels, slice);
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
