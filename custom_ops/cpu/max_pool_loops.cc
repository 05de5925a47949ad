// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is.
#include "cpu/max_pool_loops.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cpu/vector.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

// Both go over channels side by side, as many as a vector has, and over what is left one by one.

#if defined(__GNUC__)
typedef int32_t Integers __attribute__((vector_size(4 * kLanes)));
typedef uint8_t Bytes __attribute__((vector_size(kLanes)));

// `a` where the mask is set, else `b`.
SVGD_INLINE Integers Select(Integers mask, Integers a, Integers b) {
  return (a & mask) | (b & ~mask);
}

size_t LargestOfVectors(const float* x, const Meetings& window, size_t channels, float* y,
                        uint8_t* places) {
  size_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    Vector best = Load(x + window.begins[0] + c);
    Integers place = Integers{} + window.elements[0];
    for (size_t i = 1; i < window.count; ++i) {
      const Vector from = Load(x + window.begins[i] + c);
      const Integers larger = from > best;
      best = (Vector)Select(larger, (Integers)from, (Integers)best);
      place = Select(larger, Integers{} + window.elements[i], place);
    }
    Store(best, y + c);
    const Bytes bytes = __builtin_convertvector(place, Bytes);
    memcpy(places + c, &bytes, sizeof bytes);
  }
  return c;
}

size_t PutBackVectors(const float* dy, const uint8_t* places, const Meetings& windows,
                      size_t channels, float* dx) {
  size_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    Vector sum{};
    for (size_t i = 0; i < windows.count; ++i) {
      Bytes bytes;
      memcpy(&bytes, places + windows.begins[i] + c, sizeof bytes);
      const Integers place = __builtin_convertvector(bytes, Integers);
      const Integers mask = place == Integers{} + windows.elements[i];
      sum += (Vector)((Integers)Load(dy + windows.begins[i] + c) & mask);
    }
    Store(sum, dx + c);
  }
  return c;
}
#else
size_t LargestOfVectors(const float*, const Meetings&, size_t, float*, uint8_t*) { return 0; }
size_t PutBackVectors(const float*, const uint8_t*, const Meetings&, size_t, float*) { return 0; }
#endif

void Largest(const float* x, const Meetings& window, size_t channels, float* y, uint8_t* places) {
  for (size_t c = LargestOfVectors(x, window, channels, y, places); c < channels; ++c) {
    float best = x[window.begins[0] + c];
    uint8_t place = window.elements[0];
    for (size_t i = 1; i < window.count; ++i) {
      const float from = x[window.begins[i] + c];
      if (from > best) {
        best = from;
        place = window.elements[i];
      }
    }
    y[c] = best;
    places[c] = place;
  }
}

void PutBack(const float* dy, const uint8_t* places, const Meetings& windows, size_t channels,
             float* dx) {
  for (size_t c = PutBackVectors(dy, places, windows, channels, dx); c < channels; ++c) {
    float sum = 0;
    for (size_t i = 0; i < windows.count; ++i) {
      const size_t place = windows.begins[i] + c;
      sum += places[place] == windows.elements[i] ? dy[place] : 0;
    }
    dx[c] = sum;
  }
}

}  // namespace

extern const MaxPoolLoops kMaxPool = {Largest, PutBack};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
