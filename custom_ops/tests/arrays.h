// Arrays of kernels under sanitizers: each is an allocation of its own, so that what is read or
// written beside it is seen.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

namespace svgd::tests {

inline std::unique_ptr<float[]> Copy(const std::vector<float>& numbers) {
  std::unique_ptr<float[]> copy(new float[numbers.size()]);
  std::copy(numbers.begin(), numbers.end(), copy.get());
  return copy;
}

// Filled with what no sum may begin with.
inline std::unique_ptr<float[]> Unset(size_t count) {
  return Copy(std::vector<float>(count, std::numeric_limits<float>::quiet_NaN()));
}

// Whether both have the same bits.
inline bool Same(const std::unique_ptr<float[]>& a, const std::unique_ptr<float[]>& b,
                 size_t count) {
  return count == 0 || std::memcmp(a.get(), b.get(), count * sizeof(float)) == 0;
}

}  // namespace svgd::tests
