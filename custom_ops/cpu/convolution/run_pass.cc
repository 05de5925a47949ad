#include <algorithm>

#include "cpu/convolution/loops.h"
#include "cpu/convolution/pass.h"
#include "cpu/convolution/pass_plan.h"
#include "cpu/convolution/pixel_block.h"
#include "cpu/convolution/rows_in_place.h"

namespace svgd::convolution {
namespace {

// Groups that are best taken as one, as one.
Pass Joined(const Pass& pass, const LoopsOfSet& loops) {
  Pass joined = pass;
  joined.joined = GroupsTogether(pass.groups, pass.outputs, loops);
  joined.groups /= joined.joined;
  joined.channels *= joined.joined;
  joined.outputs *= joined.joined;
  return joined;
}

// The weights of panel `index` of all groups: runs x length x panel.
void PackPanel(const Plan& plan, const float* weights, size_t index, float* packed) {
  const Pass& pass = plan.pass;
  const size_t width = plan.loops.panel;
  const size_t group = index / plan.panels * pass.joined;
  const size_t first = index % plan.panels * width;
  const size_t last = std::min(first + width, pass.outputs);
  const size_t channels = pass.channels / pass.joined, outputs = pass.outputs / pass.joined;
  float* to = packed + index * plan.panel_weights();
  if (pass.joined > 1) std::fill(to, to + plan.panel_weights(), 0.0F);
  // Channel by channel, as the weights lie, so that they are read once.
  const std::vector<size_t> elements = Elements(pass);
  for (size_t c = 0; c < pass.channels; ++c) {
    // The outputs of the panel that see this channel, and the first of them in its group.
    const size_t of_channel = c / channels;
    const size_t begin = std::max(first, of_channel * outputs);
    const size_t end = std::min(last, (of_channel + 1) * outputs);
    if (begin >= end) continue;
    const float* from = weights + (group + of_channel) * pass.pitches.group +
                        (begin - of_channel * outputs) * pass.pitches.output +
                        c % channels * pass.pitches.channel;
    for (size_t i = 0; i < elements.size(); ++i) {
      const float* numbers = from + elements[i];
      float* row = to + (i * pass.channels + c) * width;
      for (size_t m = begin; m < end; ++m, numbers += pass.pitches.output)
        row[m - first] = *numbers;
      for (size_t m = pass.outputs; m < first + width; ++m) row[m - first] = 0;
    }
  }
}

// The bias, panel by panel, behind the weights.
const float* PackBias(const Plan& plan, const float* bias, float* packed) {
  const Pass& pass = plan.pass;
  const size_t width = plan.loops.panel;
  float* to = packed + plan.panels * pass.groups * plan.panel_weights();
  for (size_t panel = 0; panel < plan.panels * pass.groups; ++panel) {
    const size_t output = panel % plan.panels * width;
    const size_t columns = std::min(width, pass.outputs - output);
    const float* from = bias + panel / plan.panels * pass.outputs + output;
    std::copy(from, from + columns, to + panel * width);
    std::fill(to + panel * width + columns, to + (panel + 1) * width, 0.0F);
  }
  return to;
}

// The tiles of a block for a panel, over some of the runs that each sees.
void RunTiles(const Plan& plan, const PixelBlock& block, Tile tile, size_t first_run, size_t runs,
              size_t output) {
  const size_t width = plan.loops.pixels;
  const size_t length = tile.length;
  float* outs[kMostTilePixels];
  tile.out = outs;
  for (size_t pixel = 0; pixel < block.pixels(); pixel += width) {
    const size_t at = pixel / width;
    const size_t seen = block.seen_runs(at);
    if (first_run >= seen && tile.add) continue;
    tile.rows = block.rows(at);
    tile.row_pitch = block.uniform(at) ? 0 : width;
    tile.shifts = block.uniform(at) ? plan.shifts.data() : plan.no_shifts.data();
    tile.seen = block.seen(at) + first_run;
    tile.runs = std::min(runs, seen - first_run);
    tile.length = block.merged(at) ? length * plan.side_by_side : length;
    tile.pixels = std::min(width, block.pixels() - pixel);
    for (size_t i = 0; i < tile.pixels; ++i) outs[i] = block.outs(at)[i] + output;
    plan.loops.tile(tile);
  }
}

// The block, row by row; it has all that it sees.
void RunRows(const Plan& plan, const PixelBlock& block, const float* packed, const float* bias) {
  const PassAxis& b = plan.pass.axes[1];
  const auto columns = static_cast<size_t>(plan.pass.axes[2].pixels);
  RowTile tile{};
  tile.row_pitch = static_cast<size_t>(b.step) * plan.row_numbers();
  tile.before_pitch = tile.behind_pitch = tile.row_pitch;
  tile.rows = static_cast<size_t>(b.taps);
  tile.channels = plan.length;
  tile.weights = packed;
  tile.start = bias;
  tile.columns = plan.pass.outputs;
  for (size_t pixel = 0; pixel < block.pixels(); pixel += columns) {
    const size_t row = pixel / columns * static_cast<size_t>(b.stride);
    for (size_t column = 0; column < columns; column += plan.loops.row_pixels) {
      tile.before = block.window() + row * plan.row_numbers() + column * plan.length;
      tile.x = tile.before + plan.length;
      tile.behind = tile.x + plan.loops.row_pixels * plan.length;
      tile.out = block.outs_from(pixel + column);
      tile.pixels = std::min(plan.loops.row_pixels, columns - column);
      plan.loops.row_tile(tile);
    }
  }
}

// One of the plan's tasks.
void RunTask(const Plan& plan, const float* in, const float* packed, const float* bias, float* out,
             size_t index) {
  const Loops& loops = plan.loops;
  const size_t panels = plan.panels * plan.pass.groups;
  const size_t panel_group = index % plan.panel_groups;
  const size_t first_panel = panel_group * panels / plan.panel_groups;
  const size_t last_panel = (panel_group + 1) * panels / plan.panel_groups;
  if (plan.in_place) {
    const RowsInPlace rows(plan, in, out, index / plan.panel_groups);
    for (size_t panel = first_panel; panel < last_panel; ++panel) rows.Run(panel, packed, bias);
    return;
  }
  const PixelBlock block(plan, in, out, index / plan.panel_groups);
  if (plan.by_rows) return RunRows(plan, block, packed, bias);
  const size_t pieces = DivideUp(plan.length, kChunk);  // of a run
  const size_t piece = DivideUp(plan.length, pieces);
  const size_t some_runs = std::max<size_t>(1, kChunk / plan.length);
  for (size_t run = 0; run < plan.runs; run += some_runs) {
    for (size_t offset = 0; offset < plan.length; offset += piece) {
      const bool first = run == 0 && offset == 0;
      for (size_t panel = first_panel; panel < last_panel; ++panel) {
        const size_t group = panel / plan.panels;
        const size_t output = panel % plan.panels * loops.panel;  // of the group
        Tile tile{};
        tile.offset = group * plan.pass.channels + offset;
        tile.length = std::min(piece, plan.length - offset);
        tile.weights = packed + panel * plan.panel_weights() + offset * loops.panel;
        tile.run_weights = plan.length * loops.panel;
        tile.start = first && bias != nullptr ? bias + panel * loops.panel : nullptr;
        tile.add = !first;
        tile.columns = std::min(loops.panel, plan.pass.outputs - output);
        RunTiles(plan, block, tile, run, some_runs, group * plan.pass.outputs + output);
      }
    }
  }
}

}  // namespace

size_t GroupsTogether(size_t groups, size_t outputs, const LoopsOfSet& loops) {
  size_t together = std::min(groups, std::max<size_t>(1, loops.narrow.panel / outputs));
  while (groups % together != 0) --together;
  return together;
}

size_t PackedWeights(const Pass& each, const LoopsOfSet& loops) {
  const Pass pass = Joined(each, loops);
  const size_t width = loops.For(pass.outputs).panel;
  const size_t panels = pass.groups * DivideUp(pass.outputs, width);
  return panels * width * (pass.taps() * pass.channels + 1);  // and a bias
}

void RunPasses(const std::vector<Pass>& passes, const float* in, const float* weights,
               const float* bias, float* out, float* packed, const LoopsOfSet& loops,
               const Threads& threads) {
  struct Part {
    Plan plan;
    float* packed;
    size_t panels, tasks;  // of this part and those before
  };
  std::vector<Part> parts;
  std::vector<Pass> joined;  // which plans refer to
  for (const Pass& pass : passes) joined.push_back(Joined(pass, loops));
  size_t panels = 0, tasks = 0, packed_numbers = 0, work = 0;
  for (size_t i = 0; i < passes.size(); ++i) {
    const Pass& pass = joined[i];
    if (pass.pixels() == 0) continue;
    const Plan plan(pass, loops.For(pass.outputs));
    panels += plan.panels * pass.groups;
    tasks += plan.tasks();
    parts.push_back({plan, packed, panels, tasks});
    const size_t numbers = PackedWeights(passes[i], loops);
    packed += numbers;
    packed_numbers += numbers;
    work += pass.pixels() * numbers / plan.loops.panel;
  }
  // The part that an index is of; the index becomes its own.
  const auto find = [&parts](size_t Part::* end, size_t* index) -> const Part& {
    const auto part = std::partition_point(parts.begin(), parts.end(),
                                           [&](const Part& each) { return each.*end <= *index; });
    if (part != parts.begin()) *index -= (*(part - 1)).*end;
    return *part;
  };
  threads.ForEach(panels, packed_numbers, [&](size_t index) {
    const Part& part = find(&Part::panels, &index);
    PackPanel(part.plan, weights, index, part.packed);
  });
  const float* panel_bias = nullptr;
  if (bias != nullptr && !parts.empty()) {  // the only pass that has one is Y's
    panel_bias = PackBias(parts[0].plan, bias, parts[0].packed);
  }
  threads.ForEach(tasks, work, [&](size_t index) {
    const Part& part = find(&Part::tasks, &index);
    RunTask(part.plan, in, part.packed, panel_bias, out, index);
  });
}

}  // namespace svgd::convolution
