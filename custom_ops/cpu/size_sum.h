// The size of an array: a sum that is finite only where each of its numbers is.
#pragma once

#include <cmath>
#include <cstddef>

#include "cpu/tasks.h"

namespace svgd {

// What is added up.
enum class SizeOf {
  kNumbers,  // |x|
  kSquares,  // x^2
};

// Adds up a few numbers, by the widest instructions.
float (*SizeLoop(SizeOf what))(const float* x, size_t count);

// The order of its additions follows from the count. Throws bad_alloc.
double SizeSum(const float* numbers, size_t count, SizeOf what, const Threads& threads);

inline double SizeSum(const double* numbers, size_t count, SizeOf what, const Threads&) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    sum += what == SizeOf::kSquares ? numbers[i] * numbers[i] : std::fabs(numbers[i]);
  }
  return sum;
}

}  // namespace svgd
