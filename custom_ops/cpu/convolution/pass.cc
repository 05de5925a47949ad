#include "cpu/convolution/pass.h"

#include <algorithm>
#include <numeric>

namespace svgd::convolution {

size_t Pass::taps() const {
  size_t product = 1;
  for (const PassAxis& axis : axes) product *= static_cast<size_t>(axis.taps);
  return product;
}

size_t Pass::pixels() const {
  size_t product = batch;
  for (const PassAxis& axis : axes) product *= static_cast<size_t>(axis.pixels);
  return product;
}

size_t Pass::in_pixels() const {
  size_t product = 1;
  for (const PassAxis& axis : axes) product *= static_cast<size_t>(axis.in);
  return product;
}

size_t Pass::out_pixels() const {
  size_t product = 1;
  for (const PassAxis& axis : axes) product *= static_cast<size_t>(axis.out);
  return product;
}

std::vector<size_t> Elements(const Pass& pass) {
  const auto& [a, b, c] = pass.axes;
  std::vector<size_t> elements;
  for (int64_t i = 0; i < a.taps; ++i) {
    for (int64_t j = 0; j < b.taps; ++j) {
      for (int64_t k = 0; k < c.taps; ++k) {
        const int64_t row =
            (a.tap_first + i * a.tap_step) * b.kernel + b.tap_first + j * b.tap_step;
        elements.push_back(static_cast<size_t>(row * c.kernel + c.tap_first + k * c.tap_step));
      }
    }
  }
  return elements;
}

Pass ForwardPass(const ConvolutionShape& shape) {
  Pass pass{};
  for (size_t i = 0; i < kMostAxes; ++i) {
    const ConvolutionAxis& axis = shape.axes[i];
    pass.axes[i] = {axis.out, axis.stride, -axis.pad, axis.dilation, axis.kernel, axis.in,
                    axis.out, 0,           1,         axis.kernel,   0,           1};
  }
  pass.batch = shape.batch;
  pass.groups = shape.groups;
  pass.channels = shape.group_channels();
  pass.outputs = shape.group_outputs();
  const size_t output = pass.channels * shape.taps();
  pass.pitches = {pass.outputs * output, output, shape.taps()};
  return pass;
}

namespace {

// dX's pixels of an axis that see this element of the kernel, and the others that they see: every
// tap_step-th from it on. Without pixels where none see it.
PassAxis PhaseAxis(const ConvolutionAxis& axis, int64_t first_tap, int64_t tap_step) {
  PassAxis out{};
  // Pixel i sees tap k of output o where i + pad = o * stride + k * dilation.
  const int64_t phase = first_tap * axis.dilation % axis.stride;
  const int64_t first_pixel = (phase - axis.pad % axis.stride + axis.stride) % axis.stride;
  if (first_pixel >= axis.in) return out;
  out.taps = (axis.kernel - 1 - first_tap) / tap_step + 1;
  const int64_t last_tap = first_tap + (out.taps - 1) * tap_step;
  out.pixels = (axis.in - 1 - first_pixel) / axis.stride + 1;
  out.stride = 1;
  out.first = (first_pixel + axis.pad - last_tap * axis.dilation) / axis.stride;
  out.step = axis.dilation * tap_step / axis.stride;
  out.in = axis.out;
  out.out = axis.in;
  out.out_first = first_pixel;
  out.out_stride = axis.stride;
  out.kernel = axis.kernel;
  out.tap_first = last_tap;
  out.tap_step = -tap_step;
  return out;
}

std::vector<PassAxis> Phases(const ConvolutionAxis& axis) {
  const int64_t tap_step = axis.stride / std::gcd(axis.stride, axis.dilation);
  std::vector<PassAxis> phases;
  for (int64_t tap = 0; tap < std::min(axis.kernel, tap_step); ++tap) {
    phases.push_back(PhaseAxis(axis, tap, tap_step));
  }
  return phases;
}

}  // namespace

std::vector<Pass> InputGradientPasses(const ConvolutionShape& shape) {
  const std::vector<PassAxis> phases[kMostAxes] = {Phases(shape.axes[0]), Phases(shape.axes[1]),
                                                   Phases(shape.axes[2])};
  std::vector<Pass> passes;
  for (const PassAxis& first : phases[0]) {
    for (const PassAxis& second : phases[1]) {
      for (const PassAxis& third : phases[2]) {
        if (first.pixels * second.pixels * third.pixels == 0) continue;
        Pass pass{};
        pass.axes = {first, second, third};
        pass.batch = shape.batch;
        pass.groups = shape.groups;
        pass.channels = shape.group_outputs();
        pass.outputs = shape.group_channels();
        const size_t output = shape.group_channels() * shape.taps();
        pass.pitches = {pass.channels * output, shape.taps(), output};
        passes.push_back(pass);
      }
    }
  }
  return passes;
}

}  // namespace svgd::convolution
