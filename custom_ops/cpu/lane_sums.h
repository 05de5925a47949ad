// Sums along a row, in lanes whose number is that of no instruction set: all of them give the same
// bits. Included by files that are compiled once for each instruction set.
#pragma once

#include <stddef.h>

#include "cpu/independent.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

constexpr size_t kSumLanes = 32;

// The sum of term(i) for each i below `count`.
template <typename Term>
float LaneSum(size_t count, const Term& term) {
  float lanes[kSumLanes] = {};
  size_t i = 0;
  for (; i + kSumLanes <= count; i += kSumLanes) {
    SVGD_INDEPENDENT
    for (size_t lane = 0; lane < kSumLanes; ++lane) lanes[lane] += term(i + lane);
  }
  for (size_t lane = 0; i < count; ++i, ++lane) lanes[lane] += term(i);
  for (size_t half = kSumLanes / 2; half > 0; half /= 2) {
    SVGD_INDEPENDENT
    for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

}  // namespace
}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
