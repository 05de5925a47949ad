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
  const auto& [a, b, c] = pass.axes;
  const size_t in_pitch = pass.groups * pass.channels;
  for (int64_t p = 0; p < a.taps; ++p) {
    for (int64_t q = 0; q < b.taps; ++q) {
      for (int64_t r = 0; r < c.taps; ++r) {
        const int64_t pixels = (p * a.step * b.in + q * b.step) * c.in + r * c.step;
        shifts.push_back(static_cast<size_t>(pixels) * in_pitch);
      }
    }
  }
  no_shifts.resize(runs);
  panels = DivideUp(pass.outputs, loops.panel);
  const size_t most = std::max(
      loops.pixels, std::min(kBlockPixels, kMostPointers / runs) / loops.pixels * loops.pixels);
  const size_t pixels = pass.pixels();
  block = DivideUp(DivideUp(pixels, DivideUp(pixels, most)), loops.pixels) * loops.pixels;
  blocks = DivideUp(pixels, block);
  panel_groups = std::min(panels * pass.groups, DivideUp(kTasks, blocks));
}

}  // namespace svgd::convolution
