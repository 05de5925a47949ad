#include "npy.h"

#include <cstdlib>
#include <map>
#include <stdexcept>

#include "files.h"

namespace svgd {
namespace {

struct Type {
  const char* name;
  size_t size;
};

const std::map<std::string, Type>& Types() {
  static const std::map<std::string, Type> types = {
      {"|b1", {"bool", 1}},    {"|i1", {"int8", 1}},   {"|u1", {"uint8", 1}},
      {"<i2", {"int16", 2}},   {"<u2", {"uint16", 2}}, {"<i4", {"int32", 4}},
      {"<u4", {"uint32", 4}},  {"<i8", {"int64", 8}},  {"<u8", {"uint64", 8}},
      {"<f4", {"float32", 4}}, {"<f8", {"float64", 8}}};
  return types;
}

// What stands in a header behind a key, up to one of some characters: 'descr': '<f4', ...
std::string Field(const std::string& header, const std::string& key, char first, const char* last) {
  const size_t at = header.find("'" + key + "':");
  if (at == std::string::npos) return "";
  const size_t begin = header.find_first_not_of(' ', at + key.size() + 3);
  if (begin == std::string::npos || header[begin] != first) return "";
  const size_t end = header.find_first_of(last, begin + 1);
  return end == std::string::npos ? "" : header.substr(begin, end - begin);
}

std::vector<int64_t> Sizes(const std::string& text) {
  std::vector<int64_t> sizes;
  for (const char* at = text.c_str(); *at != 0;) {
    char* end = nullptr;
    const int64_t size = std::strtoll(at, &end, 10);
    if (end != at) sizes.push_back(size);
    at = end == at ? at + 1 : end;
  }
  return sizes;
}

// What the header says has to be as much as is there; so nothing overflows.
bool IsAsLong(const std::vector<int64_t>& shape, size_t size, size_t bytes) {
  uint64_t elements = 1;
  for (int64_t length : shape) {
    if (length < 0) return false;
    if (length > 0 && elements > bytes / static_cast<uint64_t>(length)) return false;
    elements *= static_cast<uint64_t>(length);
  }
  return elements * size == bytes;
}

}  // namespace

size_t SizeOf(const std::string& dtype) {
  for (const auto& [_, type] : Types()) {
    if (dtype == type.name) return type.size;
  }
  return 0;
}

Array ReadNpy(const std::filesystem::path& path) {
  const auto unreadable = [&](const std::string& why) {
    return std::runtime_error("'" + path.string() + "' is no .npy file of numbers (" + why + ").");
  };
  const std::string all = ReadFile(path);
  if (all.size() < 12 || all.compare(0, 6, "\x93NUMPY") != 0) throw unreadable("it is another");
  const auto byte = [&](size_t at) { return static_cast<size_t>(static_cast<uint8_t>(all[at])); };
  const size_t begin = byte(6) == 1 ? 10 : 12;
  size_t length = byte(8) + 256 * byte(9);
  if (begin == 12) length += 65536 * byte(10) + 16777216 * byte(11);
  if (length > all.size() - begin) throw unreadable("it ends early");

  const std::string header = all.substr(begin, length);
  const std::string type_name = Field(header, "descr", '\'', "'");
  const std::string shape = Field(header, "shape", '(', ")");
  if (type_name.empty() || shape.empty()) throw unreadable("its header is another");
  const auto type = Types().find(type_name.substr(1));
  if (type == Types().end()) throw unreadable("they are of " + type_name.substr(1));
  Array array{type->second.name, Sizes(shape), {}};
  if (Field(header, "fortran_order", 'T', ",") == "True" && array.shape.size() > 1) {
    throw unreadable("its first axis lies closest together: save numpy.ascontiguousarray(...)");
  }
  array.bytes.assign(all.begin() + static_cast<std::ptrdiff_t>(begin + length), all.end());
  if (!IsAsLong(array.shape, type->second.size, array.bytes.size())) {
    throw unreadable("it is not as long as it states");
  }
  return array;
}

}  // namespace svgd
