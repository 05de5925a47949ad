#include "safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "files.h"

namespace svgd {
namespace {

constexpr uint64_t kAlignment = 8;
constexpr const char* kMetadata = "__metadata__";

void Require(bool condition) {
  if (!condition) throw std::invalid_argument("no safetensors");
}

Tensor ReadTensor(const nlohmann::json& entry, const std::string& file, uint64_t start) {
  const auto offsets = entry.at("data_offsets").get<std::array<uint64_t, 2>>();
  const uint64_t available = file.size() - start;
  Require(entry.at("dtype") == "F32" && offsets[0] <= offsets[1] && offsets[1] <= available);
  Tensor tensor{entry.at("shape").get<std::vector<int64_t>>(), {}};
  const uint64_t bytes = offsets[1] - offsets[0];
  uint64_t elements = 1;
  for (int64_t size : tensor.shape) {
    // What is in the file bounds the product, so that it cannot overflow.
    Require(size >= 0 && (size == 0 || elements <= available / static_cast<uint64_t>(size)));
    elements *= static_cast<uint64_t>(size);
  }
  Require(bytes == elements * sizeof(float));
  tensor.data.resize(elements);
  if (bytes > 0) std::memcpy(tensor.data.data(), file.data() + start + offsets[0], bytes);
  return tensor;
}

}  // namespace

Checkpoint ReadCheckpoint(const std::filesystem::path& path) try {
  const std::string file = ReadFile(path);
  uint64_t length = 0;
  Require(file.size() >= sizeof length);
  std::memcpy(&length, file.data(), sizeof length);  // little-endian, as this machine is
  Require(length <= file.size() - sizeof length);
  const auto header = nlohmann::json::parse(file.substr(sizeof length, length));
  Checkpoint checkpoint;
  std::vector<std::pair<uint64_t, uint64_t>> places;
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadata) {
      entry.get_to(checkpoint.metadata);
    } else {
      checkpoint.tensors[name] = ReadTensor(entry, file, sizeof length + length);
      places.push_back(entry.at("data_offsets"));
    }
  }
  // One behind the other, without a gap, up to the end.
  std::sort(places.begin(), places.end());
  uint64_t end = 0;
  for (const auto& [begin, next] : places) {
    Require(begin == end);
    end = next;
  }
  Require(sizeof length + length + end == file.size());
  return checkpoint;
} catch (const std::logic_error&) {
  throw std::runtime_error("'" + path.string() + "' is damaged, or not of float32 tensors.");
} catch (const nlohmann::json::exception&) {
  throw std::runtime_error("'" + path.string() + "' is damaged, or not of float32 tensors.");
}

void WriteCheckpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  nlohmann::json header = {{kMetadata, checkpoint.metadata}};
  uint64_t end = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    const uint64_t begin = end;
    end += tensor.data.size() * sizeof(float);
    header[name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
  }
  std::string json = header.dump();
  json.resize((json.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  const uint64_t length = json.size();

  WriteFile(path, [&](std::ostream& file) {
    file.write(reinterpret_cast<const char*>(&length), sizeof length);
    file.write(json.data(), static_cast<std::streamsize>(json.size()));
    for (const auto& [name, tensor] : checkpoint.tensors) {
      file.write(reinterpret_cast<const char*>(tensor.data.data()),
                 static_cast<std::streamsize>(tensor.data.size() * sizeof(float)));
    }
  });
}

}  // namespace svgd
