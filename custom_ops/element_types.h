// Element types of tensors, each read as and written from the type that it is computed in.
#pragma once

#include <cstdint>

namespace svgd {

// IEEE 754 half precision, computed in float.
struct Float16 {
  uint16_t bits;
};

// The upper half of a float, computed in float.
struct BFloat16 {
  uint16_t bits;
};

}  // namespace svgd
