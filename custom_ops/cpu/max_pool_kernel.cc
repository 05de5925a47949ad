#include "cpu/max_pool_kernel.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "cpu/max_pool_loops.h"

namespace svgd {
namespace {

// Below so many numbers the calling thread does it alone: waking another costs more.
constexpr size_t kInlineNumbers = 16 * 1024;

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
  }

  // Calls body(place of this tensor, meetings), for places in units of numbers.
  template <typename Body>
  void ForEach(ParallelFor parallel_for, void* context, const Body& body) const {
    const size_t rows = axes_[0].size() * axes_[1].size();
    auto row = [&](size_t index) { Row(index / rows, index % rows, body); };
    const size_t count = shape_.batch * rows;
    if (count * axes_[2].size() * shape_.channels < kInlineNumbers) {
      for (size_t index = 0; index < count; ++index) row(index);
      return;
    }
    const Task task = [](void* self, size_t index) { (*static_cast<decltype(row)*>(self))(index); };
    parallel_for(context, task, count, &row);
  }

 private:
  template <typename Body>
  void Row(size_t example, size_t row, const Body& body) const {
    const std::vector<Meeting>& first = axes_[0][row / axes_[1].size()];
    const std::vector<Meeting>& second = axes_[1][row % axes_[1].size()];
    const size_t length = axes_[2].size();
    const size_t begin = (example * axes_[0].size() * axes_[1].size() + row) * length;
    std::vector<size_t> begins;
    std::vector<uint8_t> elements;
    for (size_t i = 0; i < length; ++i) {
      begins.clear();
      elements.clear();
      for (const Meeting& a : first) {
        for (const Meeting& b : second) {
          for (const Meeting& c : axes_[2][i]) {
            const size_t place =
                ((example * sizes_[0] + a.place) * sizes_[1] + b.place) * sizes_[2];
            begins.push_back((place + c.place) * shape_.channels);
            elements.push_back(static_cast<uint8_t>(
                (a.element * shape_.axes[1].kernel + b.element) * shape_.axes[2].kernel +
                c.element));
          }
        }
      }
      body((begin + i) * shape_.channels, Meetings{begins.data(), elements.data(), begins.size()});
    }
  }

  const PooledShape& shape_;
  std::array<AxisMeetings, 3> axes_;
  std::array<size_t, 3> sizes_{};
};

}  // namespace

void MaxPool(const float* x, float* y, uint8_t* places, const PooledShape& shape,
             ParallelFor parallel_for, void* context) {
  const MaxPoolLoops& loops = LoopsOfMaxPool(Widest());
  const Walk windows(shape, ElementsOfWindows, &PooledAxis::input);
  windows.ForEach(parallel_for, context, [&](size_t place, const Meetings& window) {
    if (window.count == 0) {  // dilated, it steps over the image
      std::fill_n(y + place, shape.channels, std::numeric_limits<float>::lowest());
      std::fill_n(places + place, shape.channels, uint8_t{0});
      return;
    }
    loops.largest(x, window, shape.channels, y + place, places + place);
  });
}

void MaxPoolGradient(const float* dy, const uint8_t* places, float* dx, const PooledShape& shape,
                     ParallelFor parallel_for, void* context) {
  const MaxPoolLoops& loops = LoopsOfMaxPool(Widest());
  const Walk elements(shape, WindowsOfElements, &PooledAxis::output);
  elements.ForEach(parallel_for, context, [&](size_t place, const Meetings& windows) {
    loops.put_back(dy, places, windows, shape.channels, dx + place);
  });
}

}  // namespace svgd
