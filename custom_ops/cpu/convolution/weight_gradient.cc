#include "cpu/convolution/weight_gradient.h"

#include <algorithm>

#include "cpu/convolution/pass.h"
#include "cpu/convolution/weight_gradient_plan.h"
#include "cpu/convolution/weight_gradient_task.h"

namespace svgd::convolution {
namespace {

constexpr size_t kMostPanel = 32;

// Groups that are best taken as one, as one: of its sums, those of a group with itself are dW's.
ConvolutionShape Joined(const ConvolutionShape& shape, const LoopsOfSet& loops) {
  ConvolutionShape joined = shape;
  joined.groups /= GroupsTogether(shape.groups, shape.group_outputs(), loops);
  return joined;
}

// The parts of a panel added up, and written as weights lie.
void WritePanel(const WeightGradientPlan& plan, const ConvolutionShape& shape, const float* sums,
                size_t index, float* dw, float* db) {
  const size_t width = plan.loops.panel;
  const size_t outputs = plan.shape.group_outputs();
  const size_t output = index % plan.panels * width;
  const size_t first = index / plan.panels * outputs + output;
  const size_t last = std::min(first + width, first - output + outputs);
  const size_t taps = shape.taps(), channels = shape.group_channels();
  float totals[kMostPanel];
  const auto add = [&](size_t number) {
    const float* from = sums + index * plan.panel_sums() + number * width;
    std::copy(from, from + width, totals);
    for (size_t part = 1; part < plan.parts; ++part) {
      from += plan.part_sums();
      for (size_t m = 0; m < width; ++m) totals[m] += from[m];
    }
  };
  const size_t first_channel = index / plan.panels * plan.shape.group_channels();
  for (size_t c = 0; c < plan.shape.group_channels(); ++c) {
    const size_t group = (first_channel + c) / channels;
    const size_t begin = std::max(first, group * shape.group_outputs());
    const size_t end = std::min(last, (group + 1) * shape.group_outputs());
    if (begin >= end) continue;
    for (size_t tap = 0; tap < taps; ++tap) {
      add(tap * plan.shape.group_channels() + c);
      for (size_t m = begin; m < end; ++m) {
        dw[(m * channels + c % channels) * taps + tap] = totals[m - first];
      }
    }
  }
  if (db == nullptr) return;
  add(plan.numbers());
  std::copy(totals, totals + (last - first), db + first);
}

}  // namespace

size_t WeightGradientSums(const ConvolutionShape& shape, const LoopsOfSet& loops) {
  if (shape.batch == 0) return 0;
  const ConvolutionShape joined = Joined(shape, loops);
  const WeightGradientPlan plan(joined, loops.For(joined.group_outputs()));
  return plan.parts * plan.part_sums();
}

void RunWeightGradient(const float* dy, const Factor& factor, const float* x, float* dw, float* db,
                       const ConvolutionShape& shape, float* sums, const LoopsOfSet& loops,
                       const Threads& threads) {
  if (shape.batch == 0) {
    std::fill(dw, dw + shape.outputs * shape.group_channels() * shape.taps(), 0.0F);
    if (db != nullptr) std::fill(db, db + shape.outputs, 0.0F);
    return;
  }
  const ConvolutionShape joined = Joined(shape, loops);
  const WeightGradientPlan plan(joined, loops.For(joined.group_outputs()));
  const size_t products = shape.batch * shape.out_pixels() * plan.part_sums() / plan.loops.panel;
  threads.ForEach(plan.tasks(), products,
                  [&](size_t index) { WeightGradientTask(plan, index).Run(dy, factor, x, sums); });
  threads.ForEach(plan.panels * joined.groups, plan.parts * plan.part_sums(),
                  [&](size_t index) { WritePanel(plan, shape, sums, index, dw, db); });
}

}  // namespace svgd::convolution
