#include "cpu/convolution/pass_plan.h"

#include <algorithm>

namespace svgd::convolution {
namespace {

constexpr size_t kBlockPixels = 96;
// Fewer tasks than these leave threads without work at the end.
constexpr size_t kTasks = 24;
// The kernel's elements side by side on the last axis are one run of X where each is short.
constexpr size_t kShortRun = 32;
constexpr size_t kLongRun = 1024;
constexpr size_t kMostPointers = 1 << 16;

}  // namespace

Plan::Plan(const Pass& its_pass, const Loops& its_loops, bool may_merge)
    : pass(its_pass), loops(its_loops) {
  const PassAxis& last = pass.axes[2];
  const auto taps = static_cast<size_t>(last.taps);
  merged = may_merge && pass.groups == 1 && last.step == 1 && pass.channels < kShortRun &&
           taps * pass.channels <= kLongRun;
  length = merged ? taps * pass.channels : pass.channels;
  runs = merged ? pass.taps() / taps : pass.taps();
  panels = DivideUp(pass.outputs, loops.panel);
  const size_t most = std::max(
      loops.pixels, std::min(kBlockPixels, kMostPointers / runs) / loops.pixels * loops.pixels);
  const size_t pixels = pass.pixels();
  block = DivideUp(DivideUp(pixels, DivideUp(pixels, most)), loops.pixels) * loops.pixels;
  blocks = DivideUp(pixels, block);
  panel_groups = std::min(panels, DivideUp(kTasks, blocks * pass.groups));
}

}  // namespace svgd::convolution
