// Rows of a panel: a few vectors side by side, of which the last ones may be cut short. Included by
// files that are compiled once for each instruction set.
#pragma once

#include <stddef.h>
#include <string.h>

#include "cpu/vector.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

// Rows of sums, of two vectors each, that fill the registers, but for a row of the panel and a
// number that it is multiplied by.
#if defined(__AVX512F__)
constexpr int kTileRows = 12;
#elif defined(__aarch64__)
constexpr int kTileRows = 8;
#else
constexpr int kTileRows = 6;
#endif

// Copies so many numbers, below 2 kSize: pieces of a power of two.
template <int kSize>
SVGD_INLINE void CopySome(const float* from, size_t count, float* to) {
  if ((count & static_cast<size_t>(kSize)) != 0) {
    memcpy(to, from, kSize * sizeof(float));
    from += kSize;
    to += kSize;
  }
  if constexpr (kSize > 1) CopySome<kSize / 2>(from, count, to);
}

// So many numbers, zeros behind.
template <int kVectors>
SVGD_INLINE void LoadSome(const float* from, size_t columns, Vector* to) {
  if (columns == static_cast<size_t>(kVectors * kLanes)) {
    for (int v = 0; v < kVectors; ++v) to[v] = Load(from + v * kLanes);
  } else {
    float panel[kVectors * kLanes] = {};
    CopySome<kVectors * kLanes / 2>(from, columns, panel);
    for (int v = 0; v < kVectors; ++v) to[v] = Load(panel + v * kLanes);
  }
}

template <int kVectors>
SVGD_INLINE void StoreSome(const Vector* from, size_t columns, float* to) {
  if (columns == static_cast<size_t>(kVectors * kLanes)) {
    for (int v = 0; v < kVectors; ++v) Store(from[v], to + v * kLanes);
  } else {
    float panel[kVectors * kLanes];
    for (int v = 0; v < kVectors; ++v) Store(from[v], panel + v * kLanes);
    CopySome<kVectors * kLanes / 2>(panel, columns, to);
  }
}

}  // namespace
}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
