// Convolution's sizes, for the kernels of every device. Nothing here knows of onnxruntime.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace svgd {

constexpr size_t kMostAxes = 3;

// One spatial axis: output o sees input o * stride - pad + k * dilation, for each k below `kernel`.
struct ConvolutionAxis {
  int64_t in = 1;
  int64_t out = 1;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t pad = 0;  // before the input; what lies behind it follows from `out`
};

// X is (batch, axes' in..., channels), Y is (batch, axes' out..., outputs), and the weights are
// (outputs, channels / groups, axes' kernel...). All sizes are positive, `batch` may be 0. Fewer
// than three axes have axes of size 1 before them.
struct ConvolutionShape {
  size_t batch;
  size_t groups;
  size_t channels;
  size_t outputs;
  std::array<ConvolutionAxis, kMostAxes> axes;

  size_t group_channels() const { return channels / groups; }
  size_t group_outputs() const { return outputs / groups; }
  size_t taps() const {
    size_t product = 1;
    for (const ConvolutionAxis& axis : axes) product *= static_cast<size_t>(axis.kernel);
    return product;
  }
  size_t in_pixels() const {
    size_t product = 1;
    for (const ConvolutionAxis& axis : axes) product *= static_cast<size_t>(axis.in);
    return product;
  }
  size_t out_pixels() const {
    size_t product = 1;
    for (const ConvolutionAxis& axis : axes) product *= static_cast<size_t>(axis.out);
    return product;
  }
  bool depthwise() const { return groups > 1 && groups == channels && groups == outputs; }
};

}  // namespace svgd
