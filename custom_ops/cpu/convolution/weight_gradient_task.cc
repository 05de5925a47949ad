#include "cpu/convolution/weight_gradient_task.h"

#include <algorithm>
#include <cstring>

#include "cpu/thread_memory.h"

namespace svgd::convolution {
namespace {

constexpr size_t kShortRun = 32;

// How many inputs of an axis so many outputs see, from the first to the last.
size_t Seen(const ConvolutionAxis& axis, size_t outs) {
  return static_cast<size_t>(axis.stride) * (outs - 1) +
         static_cast<size_t>(axis.dilation * (axis.kernel - 1)) + 1;
}

// Of `count` outputs of an axis from `first` on, those for which this element of the kernel is not
// outside.
Range Inside(const ConvolutionAxis& axis, size_t tap, size_t first, size_t count) {
  const auto begin = static_cast<int64_t>(first), end = static_cast<int64_t>(first + count);
  const int64_t place = static_cast<int64_t>(tap) * axis.dilation - axis.pad;  // of output 0
  const int64_t least = place < 0 ? (-place + axis.stride - 1) / axis.stride : 0;
  const int64_t past = place < axis.in ? (axis.in - 1 - place) / axis.stride + 1 : 0;
  const int64_t inside_begin = std::clamp(least, begin, end);
  const int64_t inside_end = std::clamp(past, inside_begin, end);
  return {static_cast<size_t>(inside_begin - begin),
          static_cast<size_t>(inside_end - inside_begin)};
}

}  // namespace

WeightGradientTask::WeightGradientTask(const WeightGradientPlan& plan, size_t index)
    : plan_(plan), shape_(plan.shape) {
  slice_ = index % plan.slices;
  index /= plan.slices;
  panel_ = index % plan.stacks * plan.stack;
  panels_ = std::min(plan.stack, plan.panels - panel_);
  index /= plan.stacks;
  group_ = index % shape_.groups;
  part_ = index / shape_.groups;
  channel_ = slice_ * plan.slice;
  channels_ = std::min(plan.slice, shape_.group_channels() - channel_);
  const size_t pixels = plan.planes_of * plan.rows_of * plan.columns_of;
  const auto& [a, b, c] = shape_.axes;
  const size_t rows = plan.window ? Seen(b, plan.rows_of) : plan.rows_of;
  const size_t columns = plan.window ? Seen(c, plan.columns_of) : plan.columns_of;
  Cut cut;
  const size_t dy = cut.Array<float>(panels_ * plan.loops.panel * pixels);
  const size_t x = cut.Array<float>(plan.planes_of * rows * columns * channels_);
  auto* memory = static_cast<char*>(ThreadMemory(cut.bytes()));
  dy_ = reinterpret_cast<float*>(memory + dy);
  x_ = reinterpret_cast<float*>(memory + x);
}

void WeightGradientTask::Run(const float* dy, const Factor& factor, const float* x,
                             bool sum_gradient, float* sums) {
  sums_ = sums + part_ * plan_.part_sums() + group_ * plan_.panels * plan_.panel_sums();
  Clear();
  const size_t first = part_ * plan_.blocks / plan_.parts;
  const size_t last = (part_ + 1) * plan_.blocks / plan_.parts;
  for (size_t index = first; index < last; ++index) {
    block_ = plan_.Block(index);
    CopyGradient(dy, factor);
    if (index + 1 < last) ExpectNext(plan_.Block(index + 1), dy, x);
    if (slice_ == 0 && sum_gradient) SumGradient();
    if (plan_.window) {
      SumWindow(x);
    } else {
      SumTaps(x);
    }
  }
}

// The sums of a panel from a number of X on, or from that after the last: those of dY itself.
float* WeightGradientTask::Sum(size_t panel, size_t number) const {
  return sums_ + panel * plan_.panel_sums() + number * plan_.loops.panel;
}

void WeightGradientTask::Clear() const {
  const size_t width = plan_.loops.panel;
  for (size_t panel = panel_; panel < panel_ + panels_; ++panel) {
    for (size_t tap = 0; tap < shape_.taps(); ++tap) {
      float* sum = Sum(panel, tap * shape_.group_channels() + channel_);
      std::fill(sum, sum + channels_ * width, 0.0F);
    }
    if (slice_ > 0) continue;
    float* sum = Sum(panel, plan_.numbers());
    std::fill(sum, sum + width, 0.0F);
  }
}

// The block's dY, panel by panel, times the factor.
void WeightGradientTask::CopyGradient(const float* dy, const Factor& factor) const {
  const auto& [a, b, c] = shape_.axes;
  const auto plane_pixels = static_cast<size_t>(b.out * c.out);
  const size_t skipped = panel_ * plan_.loops.panel;
  const size_t first_output = group_ * shape_.group_outputs() + skipped;
  PanelCopy copy{};
  copy.pitch = shape_.outputs;
  copy.pixels = block_.columns;
  copy.columns = std::min(panels_ * plan_.loops.panel, shape_.group_outputs() - skipped);
  copy.factor_pitch = factor.of_channels ? 0 : shape_.outputs;
  copy.to = dy_;
  copy.panel_pitch = block_.pixels() * plan_.loops.panel;
  for (size_t plane = block_.plane; plane < block_.plane + block_.planes; ++plane) {
    const size_t of_example = plane % static_cast<size_t>(a.out) * plane_pixels;
    for (size_t row = block_.row; row < block_.row + block_.rows; ++row) {
      const size_t place = row * static_cast<size_t>(c.out) + block_.column;
      copy.from = dy + (plane * plane_pixels + place) * shape_.outputs + first_output;
      if (factor.numbers != nullptr) {
        copy.factor = factor.numbers + (of_example + place) * copy.factor_pitch + first_output;
      }
      plan_.loops.copy_panels(copy);
      copy.to += block_.columns * plan_.loops.panel;
    }
  }
}

// Has what the next block reads come while this one is summed; of X what lies around its pixels,
// where those of dY are whole rows.
void WeightGradientTask::ExpectNext(const GradientBlock& next, const float* dy, const float* x) {
  const auto& [a, b, c] = shape_.axes;
  const size_t row = next.plane * static_cast<size_t>(b.out) + next.row;
  const size_t output = group_ * shape_.group_outputs() + panel_ * plan_.loops.panel;
  const size_t outputs = std::min(panels_ * plan_.loops.panel, shape_.outputs - output);
  const size_t pixel = row * static_cast<size_t>(c.out) + next.column;
  next_dy_ = Prefetch(dy + pixel * shape_.outputs + output, next.pixels(), shape_.outputs, outputs);
  next_x_ = Prefetch();
  if (plan_.window && plan_.column_blocks == 1) {
    const int64_t first = static_cast<int64_t>(next.row) * b.stride - b.pad;
    const int64_t end = first + static_cast<int64_t>(Seen(b, next.rows));
    const int64_t begin = std::clamp<int64_t>(first, 0, b.in);
    const auto plane = static_cast<int64_t>(next.plane);
    const int64_t of_example = plane % a.out * a.stride - a.pad;
    const int64_t in_plane = plane / a.out * a.in + std::clamp<int64_t>(of_example, 0, a.in - 1);
    const auto rows = next.planes > 1 ? static_cast<int64_t>(next.planes) * b.in
                                      : std::clamp<int64_t>(end, begin, b.in) - begin;
    const auto in_pixel = static_cast<size_t>((in_plane * b.in + begin) * c.in);
    next_x_ = Prefetch(x + in_pixel * shape_.channels + group_ * shape_.group_channels() + channel_,
                       static_cast<size_t>(rows * c.in), shape_.channels, channels_);
  }
  const size_t tiles = panels_ * DivideUp(shape_.taps() * channels_, plan_.loops.counts);
  lines_ = DivideUp(next_dy_.lines() + next_x_.lines(), tiles);
}

// dY summed over its pixels, as if X were 1 everywhere.
void WeightGradientTask::SumGradient() {
  const float one = 1;
  WeightTile tile{};
  tile.x = &one;
  for (size_t panel = panel_; panel < panel_ + panels_; ++panel)
    SumRun(tile, panel, plan_.numbers(), 1, {0, block_.rows}, {0, block_.columns});
}

// Copies the slice of X at these coordinates, planes x rows x columns, zeros where it has none.
void WeightGradientTask::CopyInput(const float* x, int64_t tap_plane, const Copied& rows,
                                   const Copied& columns) const {
  const auto& [a, b, c] = shape_.axes;
  float* to = x_;
  const size_t row_numbers = columns.count * channels_;
  for (size_t i = 0; i < block_.planes; ++i) {
    const auto out_plane = static_cast<int64_t>(block_.plane + i);
    const int64_t example = out_plane / a.out;
    const int64_t plane = out_plane % a.out * a.stride - a.pad + tap_plane * a.dilation;
    for (size_t j = 0; j < rows.count; ++j, to += row_numbers) {
      const int64_t row = rows.first + static_cast<int64_t>(j) * rows.step;
      if (plane < 0 || plane >= a.in || row < 0 || row >= b.in) {
        std::fill(to, to + row_numbers, 0.0F);
      } else {
        CopyRow(x + static_cast<size_t>(((example * a.in + plane) * b.in + row) * c.in) *
                        shape_.channels,
                columns, to);
      }
    }
  }
}

void WeightGradientTask::CopyRow(const float* row, const Copied& columns, float* to) const {
  const int64_t size = shape_.axes[2].in;
  const float* from = row + group_ * shape_.group_channels() + channel_;
  int64_t column = columns.first;
  if (columns.step == 1 && channels_ == shape_.channels) {
    const auto count = static_cast<int64_t>(columns.count);
    const int64_t begin = std::clamp<int64_t>(-column, 0, count);
    const int64_t end = std::clamp<int64_t>(size - column, begin, count);
    float* first = to + static_cast<size_t>(begin) * channels_;
    float* last = to + static_cast<size_t>(end) * channels_;
    std::fill(to, first, 0.0F);
    if (last > first) {
      std::memcpy(first, from + static_cast<size_t>(column + begin) * channels_,
                  static_cast<size_t>(last - first) * sizeof(float));
    }
    std::fill(last, to + columns.count * channels_, 0.0F);
    return;
  }
  for (size_t k = 0; k < columns.count; ++k, column += columns.step, to += channels_) {
    if (column < 0 || column >= size) {
      std::fill(to, to + channels_, 0.0F);
    } else {
      std::memcpy(to, from + static_cast<size_t>(column) * shape_.channels,
                  channels_ * sizeof(float));
    }
  }
}

void WeightGradientTask::SumWindow(const float* x) {
  const auto& [a, b, c] = shape_.axes;
  const Copied rows{static_cast<int64_t>(block_.row) * b.stride - b.pad, 1, Seen(b, block_.rows)};
  const Copied columns{static_cast<int64_t>(block_.column) * c.stride - c.pad, 1,
                       Seen(c, block_.columns)};
  CopyInput(x, 0, rows, columns);
  const size_t row_pitch = columns.count * channels_;
  WeightTile tile{};
  tile.plane_pitch = rows.count * row_pitch;
  tile.row_pitch = static_cast<size_t>(b.stride) * row_pitch;
  tile.pixel_pitch = static_cast<size_t>(c.stride) * channels_;
  // Elements of the kernel side by side on the last axis make one run, where that fills tiles
  // better; else what is outside is left out.
  const auto width = static_cast<size_t>(c.kernel);
  const bool merged =
      c.dilation == 1 && channels_ == shape_.group_channels() && channels_ < kShortRun;
  const size_t runs = merged ? 1 : width;
  const size_t length = merged ? width * channels_ : channels_;
  for (size_t panel = panel_; panel < panel_ + panels_; ++panel) {
    for (size_t row = 0; row < static_cast<size_t>(b.kernel); ++row) {
      const Range inside_rows = Inside(b, row, block_.row, block_.rows);
      for (size_t run = 0; run < runs; ++run) {
        tile.x = x_ + row * static_cast<size_t>(b.dilation) * row_pitch +
                 run * static_cast<size_t>(c.dilation) * channels_;
        const size_t number = (row * width + run) * shape_.group_channels() + channel_;
        const Range inside_columns =
            merged ? Range{0, block_.columns} : Inside(c, run, block_.column, block_.columns);
        SumRun(tile, panel, number, length, inside_rows, inside_columns);
      }
    }
  }
}

void WeightGradientTask::SumTaps(const float* x) {
  const auto& [a, b, c] = shape_.axes;
  size_t tap = 0;
  for (int64_t i = 0; i < a.kernel; ++i) {
    for (int64_t j = 0; j < b.kernel; ++j) {
      for (int64_t k = 0; k < c.kernel; ++k, ++tap) {
        const Copied rows{static_cast<int64_t>(block_.row) * b.stride - b.pad + j * b.dilation,
                          b.stride, block_.rows};
        const Copied columns{
            static_cast<int64_t>(block_.column) * c.stride - c.pad + k * c.dilation, c.stride,
            block_.columns};
        CopyInput(x, i, rows, columns);
        WeightTile tile{};
        tile.row_pitch = columns.count * channels_;
        tile.plane_pitch = rows.count * tile.row_pitch;
        tile.pixel_pitch = channels_;
        tile.x = x_;
        for (size_t panel = panel_; panel < panel_ + panels_; ++panel) {
          const size_t number = tap * shape_.group_channels() + channel_;
          SumRun(tile, panel, number, channels_,
                 Inside(b, static_cast<size_t>(j), block_.row, block_.rows),
                 Inside(c, static_cast<size_t>(k), block_.column, block_.columns));
        }
      }
    }
  }
}

// The sums of `length` numbers of X from tile.x on, over these rows and columns of the block.
void WeightGradientTask::SumRun(WeightTile tile, size_t panel, size_t number, size_t length,
                                const Range& rows, const Range& columns) {
  const size_t width = plan_.loops.panel;
  tile.dy_row_pitch = block_.columns * width;
  tile.dy_plane_pitch = block_.rows * tile.dy_row_pitch;
  tile.dy = dy_ + (panel - panel_) * block_.pixels() * width + rows.begin * tile.dy_row_pitch +
            columns.begin * width;
  tile.x += rows.begin * tile.row_pitch + columns.begin * tile.pixel_pitch;
  tile.planes = block_.planes;
  tile.rows = rows.count;
  tile.columns = columns.count;
  tile.sum = Sum(panel, number);
  for (size_t at = 0; at < length; at += plan_.loops.counts) {
    const size_t count = std::min(plan_.loops.counts, length - at);
    next_x_.Some(next_dy_.Some(lines_));
    plan_.loops.weight_tile(tile, count);
    tile.x += count;
    tile.sum += count * width;
  }
}

}  // namespace svgd::convolution
