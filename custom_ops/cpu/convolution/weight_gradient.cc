#include "cpu/convolution/weight_gradient.h"

#include <algorithm>
#include <vector>

#include "cpu/convolution/pass.h"
#include "cpu/convolution/weight_gradient_plan.h"
#include "cpu/convolution/weight_gradient_task.h"

namespace svgd::convolution {
namespace {

// Groups that are best taken as one, as one: of its sums, those of a group with itself are dW's.
ConvolutionShape Joined(const ConvolutionShape& shape, const LoopsOfSet& loops) {
  ConvolutionShape joined = shape;
  joined.groups /= GroupsTogether(shape.groups, shape.group_outputs(), loops);
  return joined;
}

// A panel of the sums, its parts added up, written as weights lie.
class PanelWriter {
 public:
  PanelWriter(const WeightGradientPlan& plan, const ConvolutionShape& shape, const float* sums,
              size_t index)
      : plan_(plan),
        shape_(shape),
        sums_(sums + index * plan.panel_sums()),
        group_(index / plan.panels),
        width_(plan.loops.panel) {
    const size_t outputs = plan.shape.group_outputs();
    const size_t output = index % plan.panels * width_;
    first_ = group_ * outputs + output;
    last_ = std::min(first_ + width_, group_ * outputs + outputs);
  }

  // Some channels at a time: so many that what is read in another order than it is written stays
  // in the first cache, while whole lines are written.
  void Write(float* dw, float* db) const {
    const size_t taps = shape_.taps(), channels = shape_.group_channels();
    const size_t all = plan_.shape.group_channels();
    const size_t together = std::clamp<size_t>(kBlockNumbers / (taps * width_), 1, kMostTogether);
    std::vector<float> totals(together * taps * width_);
    for (size_t c = 0; c < all;) {
      const size_t group = (group_ * all + c) / channels;
      const size_t count =
          std::min({together, all - c, (group + 1) * channels - (group_ * all + c)});
      const size_t begin = std::max(first_, group * shape_.group_outputs());
      const size_t end = std::min(last_, (group + 1) * shape_.group_outputs());
      if (begin < end) {
        for (size_t i = 0; i < count; ++i) {
          for (size_t tap = 0; tap < taps; ++tap) {
            Add(tap * all + c + i, totals.data() + (i * taps + tap) * width_);
          }
        }
        const size_t numbers = count * taps;
        for (size_t m = begin; m < end; ++m) {
          float* to = dw + (m * channels + (group_ * all + c) % channels) * taps;
          const float* from = totals.data() + (m - first_);
          for (size_t number = 0; number < numbers; ++number) to[number] = from[number * width_];
        }
      }
      c += count;
    }
    if (db == nullptr) return;
    Add(plan_.numbers(), totals.data());
    std::copy(totals.data(), totals.data() + (last_ - first_), db + first_);
  }

 private:
  static constexpr size_t kBlockNumbers = 4 * 1024, kMostTogether = 32, kMostPanel = 32;

  // The sums of one of X's numbers, part by part.
  void Add(size_t number, float* totals) const {
    const float* from = sums_ + number * width_;
    float total[kMostPanel];  // the compiler knows that nothing else lies here
    std::copy(from, from + width_, total);
    for (size_t part = 1; part < plan_.parts; ++part) {
      from += plan_.part_sums();
      for (size_t m = 0; m < width_; ++m) total[m] += from[m];
    }
    std::copy(total, total + width_, totals);
  }

  const WeightGradientPlan& plan_;
  const ConvolutionShape& shape_;  // its groups as they are
  const float* sums_;
  const size_t group_;  // of the plan
  const size_t width_;
  size_t first_, last_;  // outputs, of all
};

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
  threads.ForEach(plan.tasks(), products, [&](size_t index) {
    WeightGradientTask(plan, index).Run(dy, factor, x, db != nullptr, sums);
  });
  threads.ForEach(plan.panels * joined.groups, plan.parts * plan.part_sums(),
                  [&](size_t index) { PanelWriter(plan, shape, sums, index).Write(dw, db); });
}

}  // namespace svgd::convolution
