// T of channels with long rows, one in each example. A channel may not fit into the caches nearby:
// it is scaled from its last row on, and the next is left alone until then, so that as much of it
// as possible is still in the last one.
#pragma once

#include <algorithm>

#include "cpu/traversal.h"

namespace svgd {

template <typename Element>
class ByChannels {
 public:
  using Number = Compute<Element>;

  explicit ByChannels(const Traversal<Element>& shared) : shared_(shared) {}

  void Run() {
    task_channels_ = std::clamp(shared_.channels / kTasks, size_t{1}, kTaskBlocks);
    shared_.template ForEach<&ByChannels::Channels>(DivideUp(shared_.channels, task_channels_),
                                                    this);
  }

 private:
  void Channels(size_t task) {
    const size_t begin = task * task_channels_;
    const size_t end = std::min(begin + task_channels_, shared_.channels);
    for (size_t channel = begin; channel < end; ++channel) {
      double sum = 0;
      for (size_t i = 0; i < shared_.outer; ++i) {
        const size_t place = (i * shared_.channels + channel) * shared_.inner;
        sum += static_cast<double>(
            shared_.loops.sum_squares_of_row(shared_.dy + place, shared_.inner));
      }
      auto factor = static_cast<Number>(sum);
      shared_.UpdateChannels(shared_.Begin(channel, 1), channel, 1, &factor);
      if (shared_.out == nullptr) continue;
      for (size_t i = shared_.outer; i-- > 0;) {
        const size_t place = (i * shared_.channels + channel) * shared_.inner;
        shared_.loops.scale_row(shared_.dy + place, shared_.out + place, shared_.inner, factor);
      }
    }
  }

  const Traversal<Element>& shared_;
  size_t task_channels_ = 0;
};

}  // namespace svgd
