// The order of the examples in an epoch, as `svgd-onnx train` has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace svgd {

// The numbers 0 to count - 1 in the order of NumPy's default_rng([seed, epoch]).permutation(count).
std::vector<std::size_t> ShuffledRows(std::size_t count, uint64_t seed, uint64_t epoch);

}  // namespace svgd
