// Rows of a panel: a few vectors side by side, of which the last ones may be cut short. Included by
// files that are compiled once for each instruction set.
#pragma once

#include <stddef.h>
#include <string.h>

#include "cpu/vector.h"

#if defined(__GNUC__) && defined(__AVX2__)
#include <immintrin.h>
#endif

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

// The first numbers of a vector, below kLanes, and zeros behind; and the same written. What is not
// there is not touched.
#if defined(__GNUC__) && defined(__AVX512F__)
SVGD_INLINE __mmask16 First(size_t count) { return static_cast<__mmask16>((1U << count) - 1U); }
SVGD_INLINE Vector LoadFirst(const float* from, size_t count) {
  return reinterpret_cast<Vector>(_mm512_maskz_loadu_ps(First(count), from));
}
SVGD_INLINE void StoreFirst(const Vector& vector, size_t count, float* to) {
  _mm512_mask_storeu_ps(to, First(count), reinterpret_cast<__m512>(vector));
}
#elif defined(__GNUC__) && defined(__AVX2__)
SVGD_INLINE __m256i First(size_t count) {
  const __m256i places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), places);
}
SVGD_INLINE Vector LoadFirst(const float* from, size_t count) {
  return reinterpret_cast<Vector>(_mm256_maskload_ps(from, First(count)));
}
SVGD_INLINE void StoreFirst(const Vector& vector, size_t count, float* to) {
  _mm256_maskstore_ps(to, First(count), reinterpret_cast<__m256>(vector));
}
#else
SVGD_INLINE Vector LoadFirst(const float* from, size_t count) {
  float panel[kLanes] = {};
  CopySome<kLanes / 2>(from, count, panel);
  return Load(panel);
}
SVGD_INLINE void StoreFirst(const Vector& vector, size_t count, float* to) {
  float panel[kLanes];
  Store(vector, panel);
  CopySome<kLanes / 2>(panel, count, to);
}
#endif

// So many numbers, zeros behind.
template <int kVectors>
SVGD_INLINE void LoadSome(const float* from, size_t columns, Vector* to) {
  for (int v = 0; v < kVectors; ++v, from += kLanes) {
    if (columns >= static_cast<size_t>(kLanes)) {
      to[v] = Load(from);
      columns -= kLanes;
    } else {
      to[v] = columns > 0 ? LoadFirst(from, columns) : Vector{};
      columns = 0;
    }
  }
}

template <int kVectors>
SVGD_INLINE void StoreSome(const Vector* from, size_t columns, float* to) {
  for (int v = 0; v < kVectors; ++v, to += kLanes) {
    if (columns >= static_cast<size_t>(kLanes)) {
      Store(from[v], to);
      columns -= kLanes;
    } else {
      if (columns > 0) StoreFirst(from[v], columns, to);
      columns = 0;
    }
  }
}

}  // namespace
}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
