#include "convolution_settings.h"

#include <limits>
#include <string>

#include "status.h"

namespace svgd {
namespace {

constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
// More elements than any machine has memory for; their bytes can still be counted.
constexpr int64_t kMostElements = int64_t{1} << 48;

std::vector<int64_t> Numbers(const Attributes& attributes, const char* name, int64_t least) {
  std::vector<int64_t> numbers = attributes.Integers(name).value_or(std::vector<int64_t>{});
  for (const int64_t number : numbers) {
    if (number < least || number > kMost) {
      throw Refusal(std::string("attribute ") + name + " is " + Text(numbers) +
                    ", but its numbers must be from " + std::to_string(least) + " to " +
                    std::to_string(kMost) + ".");
    }
  }
  return numbers;
}

void CheckLength(const char* name, const std::vector<int64_t>& numbers, size_t wanted) {
  if (!numbers.empty() && numbers.size() != wanted) {
    throw Refusal(std::string("attribute ") + name + " has " + std::to_string(numbers.size()) +
                  " numbers, but the shapes need " + std::to_string(wanted) + ".");
  }
}

void CheckPositive(const char* name, const Shape& shape, size_t from) {
  for (size_t i = from; i < shape.size(); ++i) {
    if (shape[i] < 1 || shape[i] > kMost) {
      throw Refusal(std::string(name) + " has shape " + Text(shape) + ", whose axis " +
                    std::to_string(i) + " is no size that a convolution has.");
    }
  }
}

// How many inputs the kernel covers on an axis.
int64_t Extent(const ConvolutionAxis& axis) { return (axis.kernel - 1) * axis.dilation + 1; }

void CheckElements(const char* name, const Shape& shape) {
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (size > 0 && elements > kMostElements / size) {
      throw Refusal(std::string(name) + " would have shape " + Text(shape) +
                    ", which has too many elements.");
    }
    elements *= size > 0 ? size : 1;
  }
}

}  // namespace

ConvolutionSettings::ConvolutionSettings(const Attributes& attributes)
    : group_(attributes.Integer("group").value_or(1)),
      kernel_shape_(Numbers(attributes, "kernel_shape", 1)),
      strides_(Numbers(attributes, "strides", 1)),
      dilations_(Numbers(attributes, "dilations", 1)),
      pads_(Numbers(attributes, "pads", 0)) {
  if (group_ < 1 || group_ > kMost) {
    throw Refusal("attribute group is " + std::to_string(group_) + ", but must be 1 or more.");
  }
}

ConvolutionAxis ConvolutionSettings::Axis(size_t index, int64_t kernel) const {
  const auto at = [index](const std::vector<int64_t>& numbers, int64_t fallback) {
    return index < numbers.size() ? numbers[index] : fallback;
  };
  ConvolutionAxis axis;
  axis.kernel = kernel;
  axis.stride = at(strides_, 1);
  axis.dilation = at(dilations_, 1);
  axis.pad = at(pads_, 0);
  return axis;
}

int64_t ConvolutionSettings::PadAfter(size_t index, size_t axes) const {
  return axes + index < pads_.size() ? pads_[axes + index] : 0;
}

ConvolutionShape ConvolutionSettings::Fit(const Shape& x, const Shape& w) const {
  const size_t axes = x.size() - 2;
  if (x.size() < 3 || axes > kMostAxes || w.size() != x.size()) {
    throw Refusal("X has shape " + Text(x) + " and W has " + Text(w) +
                  ", but X must be (N, one to three sizes, C) and W have as many axes.");
  }
  CheckPositive("X", x, 1);
  CheckPositive("W", w, 0);
  CheckLength("kernel_shape", kernel_shape_, axes);
  CheckLength("strides", strides_, axes);
  CheckLength("dilations", dilations_, axes);
  CheckLength("pads", pads_, 2 * axes);
  if (w[1] * group_ != x.back() || w[0] % group_ != 0) {
    throw Refusal("X has shape " + Text(x) + " and W has " + Text(w) + ", but with " +
                  std::to_string(group_) +
                  " groups X's channels must be W's second size times the groups, and W's first "
                  "size a multiple of them.");
  }
  ConvolutionShape shape{};
  shape.batch = static_cast<size_t>(x[0]);
  shape.groups = static_cast<size_t>(group_);
  shape.channels = static_cast<size_t>(x.back());
  shape.outputs = static_cast<size_t>(w[0]);
  for (size_t i = 0; i < axes; ++i) {
    ConvolutionAxis axis = Axis(i, w[i + 2]);
    axis.in = x[i + 1];
    const int64_t free = axis.in + axis.pad + PadAfter(i, axes) - Extent(axis);
    if (i < kernel_shape_.size() && kernel_shape_[i] != axis.kernel) {
      throw Refusal("attribute kernel_shape is " + Text(kernel_shape_) + ", but W has shape " +
                    Text(w) + ".");
    }
    if (free < 0) {
      throw Refusal("the kernel covers " + std::to_string(Extent(axis)) + " places of axis " +
                    std::to_string(i + 1) + " of X, which has " +
                    std::to_string(free + Extent(axis)) + " with its padding.");
    }
    axis.out = free / axis.stride + 1;
    shape.axes[kMostAxes - axes + i] = axis;
  }
  CheckElements("X", x);
  CheckElements("W", w);
  CheckElements("Y", OutShape(shape, axes));
  return shape;
}

SymbolicShape ConvolutionSettings::OutSizes(const SymbolicShape& x, const SymbolicShape& w) const {
  const size_t axes = x.size() - 2;
  SymbolicShape sizes(axes);
  for (size_t i = 0; i < axes; ++i) {
    if (!x[i + 1].known() || !w[i + 2].known()) continue;
    const ConvolutionAxis axis = Axis(i, w[i + 2].size);
    const int64_t free = x[i + 1].size + axis.pad + PadAfter(i, axes) - Extent(axis);
    if (free >= 0) sizes[i].size = free / axis.stride + 1;
  }
  return sizes;
}

SymbolicShape ConvolutionSettings::InSizes(const SymbolicShape& dy, const SymbolicShape& w) const {
  const size_t axes = dy.size() - 2;
  SymbolicShape sizes(axes);
  for (size_t i = 0; i < axes; ++i) {
    if (!dy[i + 1].known() || !w[i + 2].known()) continue;
    const ConvolutionAxis axis = Axis(i, w[i + 2].size);
    const int64_t size = dy[i + 1].size - 1 + Extent(axis) - axis.pad - PadAfter(i, axes);
    if (axis.stride == 1 && size > 0) sizes[i].size = size;
  }
  return sizes;
}

Shape OutShape(const ConvolutionShape& shape, size_t axes) {
  Shape out{static_cast<int64_t>(shape.batch)};
  for (size_t i = kMostAxes - axes; i < kMostAxes; ++i) out.push_back(shape.axes[i].out);
  out.push_back(static_cast<int64_t>(shape.outputs));
  return out;
}

}  // namespace svgd
