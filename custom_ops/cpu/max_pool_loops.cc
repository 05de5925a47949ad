// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is.
#include "cpu/max_pool_loops.h"

#include <stddef.h>
#include <stdint.h>

#include "cpu/independent.h"
#include "cpu/vector.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

// Channels at a time: a constant number, so that what is found so far can stay in registers.
constexpr size_t kChannels = 16;

template <bool kWhole>
SVGD_INLINE void LargestOfSome(const float* x, const Meetings& window, size_t some, float* y,
                               uint8_t* places) {
  const size_t channels = kWhole ? kChannels : some;
  float best[kChannels];
  int32_t place[kChannels];
  for (size_t c = 0; c < channels; ++c) {
    best[c] = x[window.begins[0] + c];
    place[c] = window.elements[0];
  }
  for (size_t i = 1; i < window.count; ++i) {
    const float* from = x + window.begins[i];
    const int32_t element = window.elements[i];
    for (size_t c = 0; c < channels; ++c) {
      const bool larger = from[c] > best[c];
      best[c] = larger ? from[c] : best[c];
      place[c] = larger ? element : place[c];
    }
  }
  for (size_t c = 0; c < channels; ++c) {
    y[c] = best[c];
    places[c] = static_cast<uint8_t>(place[c]);
  }
}

void Largest(const float* x, const Meetings& window, size_t channels, float* y, uint8_t* places) {
  size_t c = 0;
  for (; c + kChannels <= channels; c += kChannels) {
    LargestOfSome<true>(x + c, window, kChannels, y + c, places + c);
  }
  if (c < channels) LargestOfSome<false>(x + c, window, channels - c, y + c, places + c);
}

// As many at a time as are done with before others are read.
constexpr size_t kSummed = 64;

void PutBack(const float* dy, const uint8_t* places, const Meetings& windows, size_t channels,
             float* dx) {
  for (size_t first = 0; first < channels; first += kSummed) {
    const size_t count = channels - first < kSummed ? channels - first : kSummed;
    float sum[kSummed];
    for (size_t c = 0; c < count; ++c) sum[c] = 0;
    for (size_t i = 0; i < windows.count; ++i) {
      const float* from = dy + first + windows.begins[i];
      const uint8_t* place = places + first + windows.begins[i];
      const int32_t element = windows.elements[i];
      SVGD_INDEPENDENT
      for (size_t c = 0; c < count; ++c) {
        sum[c] += static_cast<int32_t>(place[c]) == element ? from[c] : 0.0F;
      }
    }
    for (size_t c = 0; c < count; ++c) dx[first + c] = sum[c];
  }
}

}  // namespace

extern const MaxPoolLoops kMaxPool = {Largest, PutBack};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
