// The innermost loops of MaxPool. max_pool_loops.cc is compiled once for each instruction set that
// a processor may have.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/virtual_gradient_loops.h"

namespace svgd {

// Elements of a window, or windows of an element: where each begins, from the tensor's own begin,
// and which of a window's elements that is.
struct Meetings {
  const size_t* begins;
  const uint8_t* elements;
  size_t count;
};

struct MaxPoolLoops {
  // y[c] = the largest x[begin + c] of a window's elements, the first of equal ones, and places[c]
  // which that is.
  void (*largest)(const float* x, const Meetings& window, size_t channels, float* y,
                  uint8_t* places);

  // dx[c] = the sum of dy[begin + c] over windows in which this element is the largest.
  void (*put_back)(const float* dy, const uint8_t* places, const Meetings& windows, size_t channels,
                   float* dx);
};

const MaxPoolLoops& LoopsOfMaxPool(InstructionSet instruction_set);

}  // namespace svgd
