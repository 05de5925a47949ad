// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name. Everything here stays
// in a namespace of that name, and nothing from the standard library's templates is used: the
// linker would keep one copy of such a function for all, perhaps the one that this processor cannot
// run.
#include "cpu/virtual_gradient_loops.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "cpu/independent.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

float SquareRoot(float value) { return sqrtf(value); }
double SquareRoot(double value) { return sqrt(value); }

// Reading and writing elements. The conversions have no branches, so that loops over them
// vectorize.

float Read(const float& element) { return element; }
double Read(const double& element) { return element; }
void Write(float value, float* element) { *element = value; }
void Write(double value, double* element) { *element = value; }

uint32_t Bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
float FromBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
// `a` where the condition holds, else `b`.
uint32_t Select(bool condition, uint32_t a, uint32_t b) {
  const uint32_t mask = 0U - static_cast<uint32_t>(condition);
  return (a & mask) | (b & ~mask);
}

float Read(const BFloat16& element) { return FromBits(static_cast<uint32_t>(element.bits) << 16); }

void Write(float value, BFloat16* element) {
  const uint32_t bits = Bits(value);
  const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
  // To the nearest, halves to even.
  const uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  element->bits = static_cast<uint16_t>(Select(is_nan, (bits >> 16) | 0x40U, rounded));
}

float Read(const Float16& element) {
  const uint32_t sign = static_cast<uint32_t>(element.bits & 0x8000U) << 16;
  const uint32_t rest = static_cast<uint32_t>(element.bits & 0x7FFFU) << 13;
  // The exponent's bias changes from 15 to 127. Without an exponent there is no leading 1 either:
  // it is added with the bias, and subtracted again. Infinities and NaN keep the highest exponent.
  const float least = FromBits(113U << 23);
  const uint32_t subnormal = Bits(FromBits(rest + (113U << 23)) - least);
  const uint32_t finite = Select(rest < (1U << 23), subnormal, rest + (112U << 23));
  const bool is_special = rest >= (0x7C00U << 13);
  return FromBits(sign | Select(is_special, rest | 0x7F800000U, finite));
}

void Write(float value, Float16* element) {
  const uint32_t bits = Bits(value);
  const uint32_t sign = (bits >> 16) & 0x8000U;
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  // Normal numbers: the bias changed, rounded to the nearest, halves to even.
  const uint32_t normal = (magnitude - (112U << 23) + 0x0FFFU + ((magnitude >> 13) & 1U)) >> 13;
  // Subnormal ones: 0.5 has its last bit where theirs is, so adding it rounds them.
  const uint32_t subnormal = Bits(FromBits(magnitude) + 0.5F) - Bits(0.5F);
  uint32_t half = Select(magnitude < (113U << 23), subnormal, normal);
  half = Select(magnitude >= (143U << 23), 0x7C00U, half);  // 65536 and up
  half = Select(magnitude > 0x7F800000U, 0x7E00U, half);
  element->bits = static_cast<uint16_t>(sign | half);
}

template <bool kPlain, typename Element>
void SumRows(const Element* dy, size_t rows, ptrdiff_t pitch, size_t count, Compute<Element>* sums,
             Compute<Element>* plain) {
  size_t row = 0;
  for (; row + 2 <= rows; row += 2, dy += 2 * pitch) {
    const Element* second = dy + pitch;
    SVGD_INDEPENDENT
    for (size_t c = 0; c < count; ++c) {
      const Compute<Element> a = Read(dy[c]), b = Read(second[c]);
      sums[c] += a * a + b * b;
      if constexpr (kPlain) plain[c] += a + b;
    }
  }
  if (row < rows) {
    SVGD_INDEPENDENT
    for (size_t c = 0; c < count; ++c) {
      const Compute<Element> a = Read(dy[c]);
      sums[c] += a * a;
      if constexpr (kPlain) plain[c] += a;
    }
  }
}

template <typename Element>
void SumSquares(const Element* dy, size_t rows, ptrdiff_t pitch, size_t count,
                Compute<Element>* sums, Compute<Element>* plain) {
  const auto sum = plain == nullptr ? SumRows<false, Element> : SumRows<true, Element>;
  sum(dy, rows, pitch, count, sums, plain);
}

template <typename Element>
void Scale(const Element* dy, Element* out, size_t rows, ptrdiff_t pitch, size_t count,
           const Compute<Element>* factors) {
  for (size_t row = 0; row < rows; ++row, dy += pitch, out += pitch) {
    SVGD_INDEPENDENT
    for (size_t c = 0; c < count; ++c) Write(Read(dy[c]) * factors[c], &out[c]);
  }
}

template <bool kPlain, typename Element>
void ScaleAndSumRows(const Element* dy, Element* out, const Compute<Element>* factors,
                     const Element* next, Compute<Element>* sums, Compute<Element>* plain,
                     size_t rows, ptrdiff_t pitch, size_t count) {
  size_t row = 0;
  for (; row + 2 <= rows; row += 2, dy += 2 * pitch, out += 2 * pitch, next += 2 * pitch) {
    const Element* next_second = next + pitch;
    const Element* dy_second = dy + pitch;
    Element* out_second = out + pitch;
    SVGD_INDEPENDENT
    for (size_t c = 0; c < count; ++c) {
      const Compute<Element> a = Read(next[c]), b = Read(next_second[c]);
      sums[c] += a * a + b * b;
      if constexpr (kPlain) plain[c] += a + b;
      Write(Read(dy[c]) * factors[c], &out[c]);
      Write(Read(dy_second[c]) * factors[c], &out_second[c]);
    }
  }
  if (row < rows) {
    SumRows<kPlain>(next, 1, pitch, count, sums, plain);
    Scale(dy, out, 1, pitch, count, factors);
  }
}

template <typename Element>
void ScaleAndSum(const Element* dy, Element* out, const Compute<Element>* factors,
                 const Element* next, Compute<Element>* sums, Compute<Element>* plain, size_t rows,
                 ptrdiff_t pitch, size_t count) {
  const auto run =
      plain == nullptr ? ScaleAndSumRows<false, Element> : ScaleAndSumRows<true, Element>;
  run(dy, out, factors, next, sums, plain, rows, pitch, count);
}

template <typename Element>
Compute<Element> SumSquaresOfRow(const Element* dy, size_t count) {
  // So many sums side by side, whatever the width of the instruction set.
  constexpr size_t kLanes = 32;
  Compute<Element> lanes[kLanes] = {};
  size_t c = 0;
  for (; c + kLanes <= count; c += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const Compute<Element> value = Read(dy[c + lane]);
      lanes[lane] += value * value;
    }
  }
  for (size_t lane = 0; c + lane < count; ++lane) {
    const Compute<Element> value = Read(dy[c + lane]);
    lanes[lane] += value * value;
  }
  for (size_t half = kLanes / 2; half > 0; half /= 2) {
    for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

template <typename Element>
void ScaleRow(const Element* dy, Element* out, size_t count, Compute<Element> factor) {
  SVGD_INDEPENDENT
  for (size_t c = 0; c < count; ++c) Write(Read(dy[c]) * factor, &out[c]);
}

template <typename Number>
void Update(const Number* r, Number* r_new, Number* sums, size_t count, Number rho, Number share,
            Number scale, Number epsilon) {
  SVGD_INDEPENDENT
  for (size_t c = 0; c < count; ++c) {
    const Number updated = rho * r[c] + share * sums[c];
    r_new[c] = updated;
    sums[c] = scale / SquareRoot(updated + epsilon);
  }
}

template <typename Element>
constexpr VirtualGradientLoops<Element> kLoops = {SumSquares<Element>,  Scale<Element>,
                                                  ScaleAndSum<Element>, SumSquaresOfRow<Element>,
                                                  ScaleRow<Element>,    Update<Compute<Element>>};

}  // namespace

extern const VirtualGradientLoops<float> kFloat = kLoops<float>;
extern const VirtualGradientLoops<double> kDouble = kLoops<double>;
extern const VirtualGradientLoops<Float16> kFloat16 = kLoops<Float16>;
extern const VirtualGradientLoops<BFloat16> kBFloat16 = kLoops<BFloat16>;

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
