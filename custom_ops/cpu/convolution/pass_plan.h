// How a pass is cut into tasks.
#pragma once

#include <cstddef>

#include "cpu/convolution/loops.h"
#include "cpu/convolution/pass.h"

namespace svgd::convolution {

// A task is some panels of a block of pixels of a group.
struct Plan {
  // `may_merge`: taps side by side may be one run of X.
  Plan(const Pass& pass, const Loops& loops, bool may_merge = true);

  size_t tasks() const { return blocks * panel_groups * pass.groups; }
  size_t panel_weights() const { return runs * length * loops.panel; }

  const Pass& pass;
  const Loops& loops;
  bool merged;
  size_t length, runs;  // of what an output pixel sees
  size_t panels, panel_groups;
  size_t block, blocks;  // of pixels
};

}  // namespace svgd::convolution
