#include <algorithm>

#include "cpu/convolution/pixel_block.h"

namespace svgd::convolution {

void PixelBlock::PointByPlace(float* out) {
  const auto& [a, b, c] = plan_.pass.axes;
  const auto places = static_cast<size_t>(a.pixels * b.pixels * c.pixels);
  const size_t width = plan_.loops.pixels;
  const size_t in_pitch = plan_.pass.in_pixels() * in_pitch_;
  const size_t out_channels = plan_.pass.groups * plan_.pass.outputs;
  const size_t out_pitch = plan_.pass.out_pixels() * out_channels;
  std::fill(rows_, rows_ + plan_.block * plan_.runs, zeros_);
  std::fill(counts_, counts_ + plan_.block / width, size_t{0});
  for (size_t pixel = 0; pixel < pixels_;) {
    // Examples in bunches; in a bunch place by place; of a place, example by example.
    const size_t bunch = (first_ + pixel) / (plan_.examples * places);
    const size_t in_bunch = (first_ + pixel) % (plan_.examples * places);
    const size_t first_example = bunch * plan_.examples;
    const size_t examples = std::min(plan_.examples, plan_.pass.batch - first_example);
    const auto place = static_cast<int64_t>(in_bunch / examples);
    const size_t example = first_example + in_bunch % examples;
    const size_t tile = pixel / width, lane = pixel % width;
    const size_t count =
        std::min({width - lane, pixels_ - pixel, first_example + examples - example});
    const int64_t i = place / c.pixels / b.pixels, j = place / c.pixels % b.pixels;
    const int64_t k = place % c.pixels;
    const int64_t out_row =
        (a.out_first + i * a.out_stride) * b.out + b.out_first + j * b.out_stride;
    const auto out_place = static_cast<size_t>(out_row * c.out + c.out_first + k * c.out_stride);
    for (size_t e = 0; e < count; ++e) {
      outs_[pixel + e] = out + (example + e) * out_pitch + out_place * out_channels;
    }
    const float** to = rows_ + tile * plan_.runs * width + lane;
    SeePlace(to, in_ + example * in_pitch, in_pitch, count, {i, j, k}, tile);
    pixel += count;
  }
}

// What a place sees in so many examples.
void PixelBlock::SeePlace(const float** to, const float* in, size_t in_pitch, size_t count,
                          const std::array<int64_t, kMostAxes>& place, size_t tile) {
  const auto& [a, b, c] = plan_.pass.axes;
  const size_t width = plan_.loops.pixels;
  uint32_t* seen = seen_ + tile * plan_.runs;
  uint32_t run = 0;
  size_t known = 0;  // of the runs that the tile sees already
  for (int64_t p = 0; p < a.taps; ++p) {
    const int64_t plane = a.first + place[0] * a.stride + p * a.step;
    for (int64_t q = 0; q < b.taps; ++q) {
      const int64_t row = b.first + place[1] * b.stride + q * b.step;
      const bool row_inside = plane >= 0 && plane < a.in && row >= 0 && row < b.in;
      for (int64_t r = 0; r < c.taps; ++r, ++run) {
        const int64_t column = c.first + place[2] * c.stride + r * c.step;
        if (!row_inside || column < 0 || column >= c.in) continue;
        const float* from =
            in + static_cast<size_t>((plane * b.in + row) * c.in + column) * in_pitch_;
        for (size_t e = 0; e < count; ++e) to[run * width + e] = from + e * in_pitch;
        while (known < counts_[tile] && seen[known] < run) ++known;
        if (known == counts_[tile] || seen[known] != run) {
          std::copy_backward(seen + known, seen + counts_[tile], seen + counts_[tile] + 1);
          seen[known] = run;
          ++counts_[tile];
        }
      }
    }
  }
}

}  // namespace svgd::convolution
