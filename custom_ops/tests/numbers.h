// Numbers for kernels to work on in tests.
#pragma once

#include <cstddef>
#include <vector>

namespace svgd::tests {

// From -1 to 1, the same for the same seed everywhere.
inline std::vector<float> Numbers(size_t count, unsigned seed) {
  std::vector<float> numbers(count);
  for (float& number : numbers) {
    seed = seed * 1664525U + 1013904223U;
    number = static_cast<float>(seed >> 8) * (2.0F / (1 << 24)) - 1.0F;
  }
  return numbers;
}

}  // namespace svgd::tests
