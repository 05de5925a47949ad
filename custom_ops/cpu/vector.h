// Vectors of the widest kind that the instruction set has which a file is compiled for. Included by
// files that are compiled once for each: everything is in the namespace of that set.
#pragma once

#include <stddef.h>
#include <string.h>

namespace svgd {
namespace SVGD_INSTRUCTION_SET {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

#if defined(__GNUC__)
typedef float Vector __attribute__((vector_size(4 * kLanes)));
#define SVGD_INLINE inline __attribute__((always_inline))
#define SVGD_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define SVGD_UNROLL(count) SVGD_PRAGMA(clang loop unroll(full))
#else
#define SVGD_UNROLL(count) SVGD_PRAGMA(GCC unroll count)
#endif
#else
// Without vector types the compiler makes of these loops what it can.
struct Vector {
  float lanes[kLanes];
};
inline Vector operator+(const Vector& a, const Vector& b) {
  Vector out;
  for (int i = 0; i < kLanes; ++i) out.lanes[i] = a.lanes[i] + b.lanes[i];
  return out;
}
inline Vector operator*(const Vector& a, const Vector& b) {
  Vector out;
  for (int i = 0; i < kLanes; ++i) out.lanes[i] = a.lanes[i] * b.lanes[i];
  return out;
}
inline Vector& operator+=(Vector& a, const Vector& b) { return a = a + b; }
inline Vector operator*(float a, const Vector& b) {
  Vector out;
  for (int i = 0; i < kLanes; ++i) out.lanes[i] = a * b.lanes[i];
  return out;
}
#define SVGD_INLINE inline
#define SVGD_UNROLL(count)
#endif

SVGD_INLINE Vector Load(const float* from) {
  Vector vector;
  memcpy(&vector, from, sizeof vector);
  return vector;
}
SVGD_INLINE void Store(const Vector& vector, float* to) { memcpy(to, &vector, sizeof vector); }

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
