// Files of float32 tensors: the length of a header, the header as JSON, the data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace svgd {

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> data;
};

struct Checkpoint {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

// Throws std::runtime_error if the file cannot be read, is damaged or holds other types.
Checkpoint ReadCheckpoint(const std::filesystem::path& path);

// Replaces the file all at once. Throws std::runtime_error if that fails; the old one stays then.
void WriteCheckpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

}  // namespace svgd
