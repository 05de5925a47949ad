// Files of NumPy's: a header, the numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace svgd {

struct Array {
  std::string dtype;  // NumPy's name
  std::vector<int64_t> shape;
  std::vector<char> bytes;  // the last axis lies closest together
};

// Throws std::runtime_error if the file cannot be read, or holds other than little-endian numbers.
Array ReadNpy(const std::filesystem::path& path);

// Bytes of a number; 0 for what is none of NumPy's.
std::size_t SizeOf(const std::string& dtype);

}  // namespace svgd
