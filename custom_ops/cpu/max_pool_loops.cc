// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is.
#include "cpu/max_pool_loops.h"

#include <stddef.h>
#include <stdint.h>

#include "cpu/independent.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

// Channels at a time, whose largest numbers so far are in registers, or near.
constexpr size_t kChannels = 64;

void LargestOfSome(const float* x, const Meetings& window, size_t channels, float* y,
                   uint8_t* places) {
  float best[kChannels];
  int32_t place[kChannels];
  for (size_t c = 0; c < channels; ++c) {
    best[c] = x[window.begins[0] + c];
    place[c] = window.elements[0];
  }
  for (size_t i = 1; i < window.count; ++i) {
    const float* from = x + window.begins[i];
    const int32_t element = window.elements[i];
    SVGD_INDEPENDENT
    for (size_t c = 0; c < channels; ++c) {
      const bool larger = from[c] > best[c];
      best[c] = larger ? from[c] : best[c];
      place[c] = larger ? element : place[c];
    }
  }
  SVGD_INDEPENDENT
  for (size_t c = 0; c < channels; ++c) {
    y[c] = best[c];
    places[c] = static_cast<uint8_t>(place[c]);
  }
}

void Largest(const float* x, const Meetings& window, size_t channels, float* y, uint8_t* places) {
  for (size_t c = 0; c < channels; c += kChannels) {
    const size_t some = channels - c < kChannels ? channels - c : kChannels;
    LargestOfSome(x + c, window, some, y + c, places + c);
  }
}

void PutBackSome(const float* dy, const uint8_t* places, const Meetings& windows, size_t channels,
                 float* dx) {
  float sum[kChannels];
  for (size_t c = 0; c < channels; ++c) sum[c] = 0;
  for (size_t i = 0; i < windows.count; ++i) {
    const float* from = dy + windows.begins[i];
    const uint8_t* place = places + windows.begins[i];
    const int32_t element = windows.elements[i];
    SVGD_INDEPENDENT
    for (size_t c = 0; c < channels; ++c) {
      sum[c] += static_cast<int32_t>(place[c]) == element ? from[c] : 0.0F;
    }
  }
  for (size_t c = 0; c < channels; ++c) dx[c] = sum[c];
}

void PutBack(const float* dy, const uint8_t* places, const Meetings& windows, size_t channels,
             float* dx) {
  for (size_t c = 0; c < channels; c += kChannels) {
    const size_t some = channels - c < kChannels ? channels - c : kChannels;
    PutBackSome(dy + c, places + c, windows, some, dx + c);
  }
}

}  // namespace

extern const MaxPoolLoops kMaxPool = {Largest, PutBack};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
