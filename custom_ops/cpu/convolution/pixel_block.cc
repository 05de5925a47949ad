#include "cpu/convolution/pixel_block.h"

#include <algorithm>
#include <numeric>

#include "cpu/thread_memory.h"

namespace svgd::convolution {

PixelBlock::PixelBlock(const Plan& plan, const float* in, float* out, size_t index)
    : plan_(plan),
      in_(in),
      first_(index * plan.block),
      pixels_(std::min(plan.block, plan.pass.pixels() - first_)),
      in_pitch_(plan.pass.groups * plan.pass.channels) {
  if (plan.rows_of > 0) TakeRows(index);
  const size_t zero_numbers = std::max(plan.length * plan.side_by_side, in_pitch_);
  Cut cut;
  const size_t rows = cut.Array<const float*>(plan.block * plan.runs);
  const size_t starts = cut.Array<const float*>(plan.pass.taps());
  const size_t outs = cut.Array<float*>(plan.block);
  const size_t tiles = plan.block / plan.loops.pixels;
  const size_t seen = cut.Array<uint32_t>(plan.runs * (plan.examples == 0 ? 1 : tiles));
  const size_t counts = cut.Array<size_t>(tiles);
  const size_t uniform = cut.Array<bool>(tiles);
  const size_t zeros = cut.Array<float>(zero_numbers);
  const size_t merged_runs = cut.Array<uint32_t>(plan.runs);
  // Tiles of a row read some numbers more than there are pixels for.
  const size_t more = plan.by_rows ? plan.loops.row_pixels * in_pitch_ : 0;
  const size_t window = cut.Array<float>(plan.window_rows * plan.row_numbers() + more);
  auto* memory = static_cast<char*>(ThreadMemory(cut.bytes()));
  rows_ = reinterpret_cast<const float**>(memory + rows);
  starts_ = reinterpret_cast<const float**>(memory + starts);
  outs_ = reinterpret_cast<float**>(memory + outs);
  seen_ = reinterpret_cast<uint32_t*>(memory + seen);
  counts_ = reinterpret_cast<size_t*>(memory + counts);
  uniform_ = reinterpret_cast<bool*>(memory + uniform);
  std::fill(uniform_, uniform_ + tiles, false);
  auto* zero = reinterpret_cast<float*>(memory + zeros);
  merged_runs_ = reinterpret_cast<uint32_t*>(memory + merged_runs);
  std::fill(zero, zero + zero_numbers, 0.0F);
  zeros_ = zero;
  window_ = reinterpret_cast<float*>(memory + window);
  if (plan.rows_of > 0) CopyWindow();
  if (plan.examples == 0) {
    PointByExample(out);
  } else {
    PointByPlace(out);
  }
}

// The rows of a plane that are the block.
void PixelBlock::TakeRows(size_t index) {
  const auto rows = static_cast<size_t>(plan_.pass.axes[1].pixels);
  const auto columns = static_cast<size_t>(plan_.pass.axes[2].pixels);
  const size_t of_plane = DivideUp(rows, plan_.rows_of);
  const size_t row = index % of_plane * plan_.rows_of;
  first_ = (index / of_plane * rows + row) * columns;
  pixels_ = std::min(plan_.rows_of, rows - row) * columns;
}

// Copies what the block sees, zeros where there is nothing.
void PixelBlock::CopyWindow() {
  const auto& [a, b, c] = plan_.pass.axes;
  const auto row_of_all = static_cast<int64_t>(first_) / c.pixels;
  const int64_t plane_of_all = row_of_all / b.pixels;
  const int64_t example = plane_of_all / a.pixels;
  const int64_t plane = a.first + plane_of_all % a.pixels * a.stride;
  const int64_t first_row = b.first + row_of_all % b.pixels * b.stride;
  const auto columns = static_cast<int64_t>(plan_.window_columns);
  const int64_t begin = std::clamp<int64_t>(-c.first, 0, columns);
  const int64_t end = std::clamp<int64_t>(c.in - c.first, begin, columns);
  const auto numbers = [&](int64_t count) { return static_cast<size_t>(count) * in_pitch_; };
  float* to = window_ + plan_.window_rows * plan_.row_numbers();
  if (plan_.by_rows) std::fill(to, to + plan_.loops.row_pixels * in_pitch_, 0.0F);
  to = window_;
  for (size_t i = 0; i < plan_.window_rows; ++i, to += plan_.row_numbers()) {
    const int64_t row = first_row + static_cast<int64_t>(i);
    const bool inside = plane >= 0 && plane < a.in && row >= 0 && row < b.in && end > begin;
    std::fill(to, to + numbers(inside ? begin : columns), 0.0F);
    if (!inside) continue;
    const float* from =
        in_ + numbers(((example * a.in + plane) * b.in + row) * c.in + c.first + begin);
    std::copy(from, from + numbers(end - begin), to + numbers(begin));
    std::fill(to + numbers(end), to + numbers(columns), 0.0F);
  }
}

void PixelBlock::PointByExample(float* out) {
  std::iota(seen_, seen_ + plan_.runs, 0U);
  const size_t merged = plan_.runs / plan_.side_by_side;
  for (size_t i = 0; i < merged; ++i) {
    merged_runs_[i] = static_cast<uint32_t>(i * plan_.side_by_side);
  }
  // A tile's runs side by side are one until one of its pixels sees something outside.
  std::fill(counts_, counts_ + plan_.block / plan_.loops.pixels, merged);
  const auto& [a, b, c] = plan_.pass.axes;
  const size_t out_pitch = plan_.pass.groups * plan_.pass.outputs;
  auto place = static_cast<int64_t>(first_);
  int64_t k = place % c.pixels;
  place /= c.pixels;
  int64_t j = place % b.pixels;
  place /= b.pixels;
  int64_t i = place % a.pixels;
  int64_t example = place / a.pixels;
  const size_t width = plan_.loops.pixels;
  // The pixels of a row that see no column outside.
  const bool copied = plan_.rows_of > 0;
  int64_t inside_begin = c.first < 0 ? (-c.first + c.stride - 1) / c.stride : 0;
  const int64_t last_column = c.in - 1 - (c.taps - 1) * c.step;
  int64_t inside_end = last_column < c.first ? 0 : (last_column - c.first) / c.stride + 1;
  if (copied) inside_begin = 0, inside_end = c.pixels;
  size_t lane = 0;  // of the tile
  const float** to = rows_;
  for (size_t pixel = 0; pixel < pixels_;) {
    const bool rows_inside = Start(example, i, j);
    const int64_t plane = example * a.out + a.out_first + i * a.out_stride;
    const int64_t row = plane * b.out + b.out_first + j * b.out_stride;
    float* of_row = out + static_cast<size_t>(row * c.out + c.out_first) * out_pitch;
    while (k < c.pixels && pixel < pixels_) {
      const size_t room =
          std::min({width - lane, pixels_ - pixel, static_cast<size_t>(c.pixels - k)});
      const int64_t column = (copied ? 0 : c.first) + k * c.stride;
      size_t count = 1;
      if (k >= inside_begin && k < inside_end) {
        count = std::min(room, static_cast<size_t>(inside_end - k));
        const bool uniform = copied || (plan_.dense && rows_inside && count == width);
        uniform_[pixel / width] = uniform;
        SeeInside(to + lane, column, count, uniform);
      } else {
        See(to + lane, column);
        counts_[pixel / width] = plan_.runs;
      }
      for (size_t i = 0; i < count; ++i, ++k) {
        outs_[pixel + i] = of_row + static_cast<size_t>(k * c.out_stride) * out_pitch;
      }
      pixel += count;
      lane += count;
      if (lane == width) {
        lane = 0;
        to += plan_.runs * width;
      }
    }
    k = 0;
    if (++j < b.pixels) continue;
    j = 0;
    if (++i < a.pixels) continue;
    i = 0;
    ++example;
  }
  for (; lane > 0 && lane < width; ++lane) {  // what is missing of the last tile
    const size_t pointers = copied ? 1 : plan_.runs;
    for (size_t run = 0; run < pointers; ++run) to[run * width + lane] = copied ? to[0] : zeros_;
  }
}

// Whether none of the rows is outside.
bool PixelBlock::Start(int64_t example, int64_t i, int64_t j) {
  const auto& [a, b, c] = plan_.pass.axes;
  const float** start = starts_;
  if (plan_.rows_of > 0) {  // SeeInside asks for the first one's only
    const auto row = static_cast<size_t>(j) % plan_.rows_of * static_cast<size_t>(b.stride);
    *start = window_ + row * plan_.row_numbers();
    return true;
  }
  bool all_inside = true;
  for (int64_t p = 0; p < a.taps; ++p) {
    const int64_t plane = a.first + i * a.stride + p * a.step;
    for (int64_t q = 0; q < b.taps; ++q, ++start) {
      const int64_t row = b.first + j * b.stride + q * b.step;
      const bool inside = plane >= 0 && plane < a.in && row >= 0 && row < b.in;
      const int64_t at = inside ? ((example * a.in + plane) * b.in + row) * c.in : 0;
      all_inside = all_inside && inside;
      *start = inside ? in_ + static_cast<size_t>(at) * in_pitch_ : nullptr;
    }
  }
  return all_inside;
}

// The runs of so many pixels side by side, the first of which has its first tap on the last axis at
// this column; or the first of their runs.
void PixelBlock::SeeInside(const float** to, int64_t column, size_t count, bool first_run) const {
  const PassAxis& c = plan_.pass.axes[2];
  const size_t width = plan_.loops.pixels;
  const auto of_row = static_cast<size_t>(c.taps);
  const size_t tap_pitch = static_cast<size_t>(c.step) * in_pitch_;
  const size_t pixel_pitch = static_cast<size_t>(c.stride) * in_pitch_;
  const size_t place = static_cast<size_t>(column) * in_pitch_;
  if (first_run) {
    for (size_t i = 0; i < count; ++i) to[i] = starts_[0] + place + i * pixel_pitch;
    return;
  }
  for (size_t row = 0; row * of_row < plan_.runs; ++row) {
    const float* start = starts_[row];
    for (size_t tap = 0; tap < of_row; ++tap, to += width) {
      const float* run = start == nullptr ? zeros_ : start + place + tap * tap_pitch;
      const size_t pitch = start == nullptr ? 0 : pixel_pitch;
      for (size_t i = 0; i < count; ++i) to[i] = run + i * pitch;
    }
  }
}

// The runs of a pixel of which some are outside.
void PixelBlock::See(const float** to, int64_t column) const {
  const PassAxis& c = plan_.pass.axes[2];
  const size_t width = plan_.loops.pixels;
  const size_t rows = plan_.runs / static_cast<size_t>(c.taps);
  const size_t row_width = static_cast<size_t>(c.taps) * width;
  for (int64_t tap = 0; tap < c.taps; ++tap, to += width, column += c.step) {
    const bool inside = column >= 0 && column < c.in;
    const size_t place = static_cast<size_t>(column) * in_pitch_;
    for (size_t row = 0; row < rows; ++row) {
      const bool seen = inside && starts_[row] != nullptr;
      to[row * row_width] = seen ? starts_[row] + place : zeros_;
    }
  }
}

}  // namespace svgd::convolution
