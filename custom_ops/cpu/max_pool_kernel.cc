#include "cpu/max_pool_kernel.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "cpu/max_pool_loops.h"

namespace svgd {
namespace {

// Along one axis: where a place meets another, and by which element of the kernel.
struct Meeting {
  size_t place, element;
};
using AxisMeetings = std::vector<std::vector<Meeting>>;

// For each window, the elements of it that lie inside.
AxisMeetings ElementsOfWindows(const PooledAxis& axis) {
  AxisMeetings found(axis.output);
  for (size_t o = 0; o < axis.output; ++o) {
    for (size_t k = 0; k < axis.kernel; ++k) {
      const size_t place = o * axis.stride + k * axis.dilation;  // of the padded axis
      if (place >= axis.pad && place - axis.pad < axis.input) {
        found[o].push_back({place - axis.pad, k});
      }
    }
  }
  return found;
}

// For each element of the input, the windows that it lies in.
AxisMeetings WindowsOfElements(const PooledAxis& axis) {
  AxisMeetings found(axis.input);
  for (size_t o = 0; o < axis.output; ++o) {
    for (size_t k = 0; k < axis.kernel; ++k) {
      const size_t place = o * axis.stride + k * axis.dilation;
      if (place >= axis.pad && place - axis.pad < axis.input) {
        found[place - axis.pad].push_back({o, k});
      }
    }
  }
  return found;
}

// Along the last axis: what places meet, from the first place that they meet on. Most places of a
// row have the same in common.
struct Pattern {
  std::vector<Meeting> meetings;
  bool operator==(const Pattern& other) const {
    return std::equal(meetings.begin(), meetings.end(), other.meetings.begin(),
                      other.meetings.end(), [](const Meeting& a, const Meeting& b) {
                        return a.place == b.place && a.element == b.element;
                      });
  }
};

// Goes through the places of one tensor, and gives for each the places of the other that it meets.
class Walk {
 public:
  Walk(const PooledShape& shape, AxisMeetings (*along)(const PooledAxis& axis),
       size_t PooledAxis::* to)
      : shape_(shape) {
    for (size_t i = 0; i < 3; ++i) {
      axes_[i] = along(shape.axes[i]);
      sizes_[i] = shape.axes[i].*to;
    }
    for (std::vector<Meeting>& meetings : axes_[2]) {
      const size_t first = meetings.empty() ? 0 : meetings.front().place;
      for (Meeting& meeting : meetings) meeting.place -= first;
      const Pattern pattern{meetings};
      const auto known = std::find(patterns_.begin(), patterns_.end(), pattern);
      firsts_.push_back(first);
      kinds_.push_back(static_cast<size_t>(known - patterns_.begin()));
      if (known == patterns_.end()) patterns_.push_back(pattern);
    }
  }

  // Calls body(place of this tensor, begin of the other, meetings from there on), for places in
  // units of numbers.
  template <typename Body>
  void ForEach(const Threads& threads, const Body& body) const {
    const size_t rows = axes_[0].size() * axes_[1].size();
    const size_t count = shape_.batch * rows;
    const size_t work = count * axes_[2].size() * shape_.channels;
    threads.ForEach(count, work, [&](size_t index) { Row(index / rows, index % rows, body); });
  }

 private:
  template <typename Body>
  void Row(size_t example, size_t row, const Body& body) const {
    const std::vector<Meeting>& first = axes_[0][row / axes_[1].size()];
    const std::vector<Meeting>& second = axes_[1][row % axes_[1].size()];
    std::vector<size_t> begins;
    std::vector<uint8_t> elements;
    std::vector<size_t> ends{0};
    for (const Pattern& pattern : patterns_) {
      for (const Meeting& a : first) {
        for (const Meeting& b : second) {
          for (const Meeting& c : pattern.meetings) {
            const size_t place = (a.place * sizes_[1] + b.place) * sizes_[2] + c.place;
            begins.push_back(place * shape_.channels);
            elements.push_back(static_cast<uint8_t>(
                (a.element * shape_.axes[1].kernel + b.element) * shape_.axes[2].kernel +
                c.element));
          }
        }
      }
      ends.push_back(begins.size());
    }
    const size_t length = axes_[2].size();
    const size_t place = (example * axes_[0].size() * axes_[1].size() + row) * length;
    const size_t image = example * sizes_[0] * sizes_[1] * sizes_[2];
    for (size_t i = 0; i < length; ++i) {
      const size_t begin = ends[kinds_[i]];
      const Meetings meetings{begins.data() + begin, elements.data() + begin,
                              ends[kinds_[i] + 1] - begin};
      body((place + i) * shape_.channels, (image + firsts_[i]) * shape_.channels, meetings);
    }
  }

  const PooledShape& shape_;
  std::array<AxisMeetings, 3> axes_;
  std::array<size_t, 3> sizes_{};
  std::vector<Pattern> patterns_;
  std::vector<size_t> firsts_, kinds_;  // for each place along the last axis
};

}  // namespace

void MaxPool(const float* x, float* y, uint8_t* places, const PooledShape& shape,
             const Threads& threads) {
  const MaxPoolLoops& loops = LoopsOfMaxPool(Widest());
  const Walk windows(shape, ElementsOfWindows, &PooledAxis::input);
  windows.ForEach(threads, [&](size_t place, size_t begin, const Meetings& window) {
    if (window.count == 0) {  // dilated, it steps over the image
      std::fill_n(y + place, shape.channels, std::numeric_limits<float>::lowest());
      std::fill_n(places + place, shape.channels, uint8_t{0});
      return;
    }
    loops.largest(x + begin, window, shape.channels, y + place, places + place);
  });
}

void MaxPoolGradient(const float* dy, const uint8_t* places, float* dx, const PooledShape& shape,
                     const Threads& threads) {
  const MaxPoolLoops& loops = LoopsOfMaxPool(Widest());
  const Walk elements(shape, WindowsOfElements, &PooledAxis::output);
  elements.ForEach(threads, [&](size_t place, size_t begin, const Meetings& windows) {
    loops.put_back(dy + begin, places + begin, windows, shape.channels, dx + place);
  });
}

}  // namespace svgd
