// MaxPool with channels last, on arrays in the processor's memory. Nothing here knows of
// onnxruntime.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cpu/tasks.h"

namespace svgd {

// An axis of an image, and how windows lie along it: window o begins at stride o - pad.
struct PooledAxis {
  size_t input, output, kernel, stride, dilation, pad;
};

// x (batch, axes' inputs, channels), y (batch, axes' outputs, channels). A window has at most
// kMostElements; one with none inside of the image gives the lowest number.
struct PooledShape {
  static constexpr size_t kMostElements = 255;
  size_t batch, channels;
  std::array<PooledAxis, 3> axes;
};

// y = the largest number of each window, the first of equal ones, and `places` which element of the
// window that is, counted as the kernel's axes lie.
void MaxPool(const float* x, float* y, uint8_t* places, const PooledShape& shape,
             const Threads& threads);

// dx = the sum of dy over the windows that an element is the largest of.
void MaxPoolGradient(const float* dy, const uint8_t* places, float* dx, const PooledShape& shape,
                     const Threads& threads);

}  // namespace svgd
