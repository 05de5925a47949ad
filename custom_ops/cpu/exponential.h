// The exponential function as a loop over vectors can have it. Included by files that are compiled
// once for each instruction set.
#pragma once

#include <stdint.h>
#include <string.h>

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

// e^x for x up to 0, within 1e-7 of it; 0 where that is below the smallest normal number. NaN
// stays.
//
// x = k ln 2 + r, and e^r is a polynomial (Cephes' expf, S. L. Moshier). Adding and taking away
// 1.5 * 2^23 rounds to a whole number, which is then in the last bits.
inline float ExponentialOfNegative(float x) {
  constexpr float kRound = 12582912.0F;
  const float bounded = x < -87.0F ? -87.0F : x;
  const float shifted = bounded * 1.44269504F + kRound;
  const float whole = shifted - kRound;
  const float r = (bounded - whole * 0.693359375F) - whole * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  uint32_t power, bits;
  memcpy(&power, &shifted, sizeof power);
  memcpy(&bits, &p, sizeof bits);
  bits += power << 23;
  float result;
  memcpy(&result, &bits, sizeof result);
  result = x < -87.0F ? 0.0F : result;
  return x != x ? x : result;
}

}  // namespace
}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
