#include "examples.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <type_traits>

namespace svgd {
namespace {

ONNXTensorElementDataType ElementType(const std::string& dtype) {
  static const std::map<std::string, ONNXTensorElementDataType> types = {
      {"bool", ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},
      {"int8", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
      {"uint8", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
      {"int16", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},
      {"uint16", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16},
      {"int32", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
      {"uint32", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32},
      {"int64", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},
      {"uint64", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64},
      {"float32", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
      {"float64", ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE}};
  return types.at(dtype);
}

bool IsOfClasses(const nlohmann::json& loss) {
  static const std::set<std::string> names = {"cross-entropy", "focal", "hinge"};
  return names.count(loss.at("loss")) > 0;
}

// The numbers that a tensor takes; one that is in range whatever that is.
struct Range {
  std::optional<double> lowest, highest, ignored;
};

std::optional<double> NumberIn(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

Range RangeOf(const nlohmann::json& tensor, const nlohmann::json& manifest) {
  Range range{NumberIn(tensor, "lowest"), NumberIn(tensor, "highest"), std::nullopt};
  for (const nlohmann::json& loss : LossesOf(manifest)) {
    const auto& label = loss.at("label");
    if (label.is_null() || label.at("name") != tensor.at("name")) continue;
    const auto& settings = loss.at("settings");
    range.ignored = NumberIn(settings, "ignore_index");
    if (IsOfClasses(loss) || loss.at("loss") == "kl") range.lowest = 0;
    if (!IsOfClasses(loss)) continue;
    const auto& size = loss.at("logits_shape").at(settings.at("class_axis").get<size_t>());
    if (size.is_number()) range.highest = size.get<double>() - 1;
  }
  return range;
}

struct Fault {
  size_t at;
  double number;
};

// The first number that is not in range, or none at all.
template <typename Number>
std::optional<Fault> FirstFault(const std::vector<char>& bytes, const Range& range) {
  const double lowest = range.lowest.value_or(-std::numeric_limits<double>::infinity());
  const double highest = range.highest.value_or(std::numeric_limits<double>::infinity());
  for (size_t at = 0; at < bytes.size() / sizeof(Number); ++at) {
    Number number;
    std::memcpy(&number, bytes.data() + at * sizeof number, sizeof number);
    const auto value = static_cast<double>(number);
    const bool fits = value >= lowest && value <= highest;
    if (std::is_floating_point_v<Number> ? fits && std::isfinite(value)
                                         : fits || value == range.ignored) {
      continue;
    }
    return Fault{at, value};
  }
  return std::nullopt;
}

std::optional<Fault> FirstFault(const Array& array, const Range& range) {
  using Search = std::optional<Fault> (*)(const std::vector<char>&, const Range&);
  static const std::map<std::string, Search> searches = {
      {"bool", FirstFault<uint8_t>},    {"int8", FirstFault<int8_t>},
      {"uint8", FirstFault<uint8_t>},   {"int16", FirstFault<int16_t>},
      {"uint16", FirstFault<uint16_t>}, {"int32", FirstFault<int32_t>},
      {"uint32", FirstFault<uint32_t>}, {"int64", FirstFault<int64_t>},
      {"uint64", FirstFault<uint64_t>}, {"float32", FirstFault<float>},
      {"float64", FirstFault<double>}};
  return searches.at(array.dtype)(array.bytes, range);
}

std::string Shown(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", number);
  return text;
}

std::string Shown(const std::vector<int64_t>& shape) {
  std::string text;
  for (int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "(" + text + ")";
}

size_t Product(const std::vector<int64_t>& shape, size_t begin, size_t end) {
  return std::accumulate(
      shape.begin() + static_cast<std::ptrdiff_t>(begin),
      shape.begin() + static_cast<std::ptrdiff_t>(end), size_t{1},
      [](size_t product, int64_t size) { return product * static_cast<size_t>(size); });
}

// Refuses numbers that are none, and what would be looked up where nothing is.
void CheckNumbers(const Array& array, int axis, const Range& range, const std::string& title) {
  const std::optional<Fault> fault = FirstFault(array, range);
  if (!fault) return;
  std::string place = "place " + std::to_string(fault->at);
  if (axis >= 0) {
    const auto along = static_cast<size_t>(axis);
    const size_t inner = Product(array.shape, along + 1, array.shape.size());
    place = "row " + std::to_string(fault->at / inner % static_cast<size_t>(array.shape[along]));
  }
  if (!std::isfinite(fault->number)) {
    throw std::runtime_error(title + " contains NaN or infinity (" + Shown(fault->number) + " in " +
                             place + ").");
  }
  const std::string bounds = range.highest
                                 ? Shown(range.lowest.value_or(0)) + " to " + Shown(*range.highest)
                                 : Shown(range.lowest.value_or(0)) + " or more";
  throw std::runtime_error(title + " has " + Shown(fault->number) + " in " + place +
                           ", where only " + bounds + " is in range.");
}

}  // namespace

Examples::Examples(const std::filesystem::path& folder, const nlohmann::json& manifest) {
  const std::vector<nlohmann::json> tensors = ArraysOf(manifest);
  bool one = true;
  for (const nlohmann::json& tensor : tensors) one = one && tensor.at("batch_axis").is_null();
  if (one) fixed_batch_ = 1;
  bool counted = false;
  for (const nlohmann::json& tensor : tensors) {
    columns_.push_back(Read(folder, tensor, manifest, one));
    const Column& column = columns_.back();
    if (column.axis < 0) continue;
    const auto size = static_cast<size_t>(column.array.shape[static_cast<size_t>(column.axis)]);
    if (counted && size != size_) {
      throw std::runtime_error("The arrays in '" + folder.string() + "' differ in length.");
    }
    counted = true;
    size_ = size;
    if (one) continue;
    const auto& given = tensor.at("shape").at(static_cast<size_t>(column.axis));
    if (given.is_number()) fixed_batch_ = given.get<size_t>();
  }
  if (size_ == 0) throw std::runtime_error("There is no example in '" + folder.string() + "'.");
}

Examples::Column Examples::Read(const std::filesystem::path& folder, const nlohmann::json& tensor,
                                const nlohmann::json& manifest, bool one) const {
  const std::string name = tensor.at("name");
  const std::filesystem::path path = folder / (name + ".npy");
  if (name.find('/') != std::string::npos || !std::filesystem::is_regular_file(path)) {
    throw std::runtime_error("There is no array '" + name + "' in '" + folder.string() +
                             "': it wants a .npy file for each input and label of the model.");
  }
  const auto& axis = tensor.at("batch_axis");
  Column column{name, ReadNpy(path), axis.is_null() ? -1 : axis.get<int>(), false};
  const Array& array = column.array;
  const auto& shape = tensor.at("shape");
  const std::string title = "Array '" + name + "' in '" + folder.string() + "'";
  if (array.dtype != tensor.at("dtype") || SizeOf(array.dtype) == 0) {
    throw std::runtime_error(title + " is " + array.dtype + ", but the model wants " +
                             tensor.at("dtype").get<std::string>() + ": convert it with .astype.");
  }
  column.squeezed = one && array.shape.size() == shape.size() + 1;
  if (column.squeezed) column.axis = 0;
  const size_t first = column.squeezed ? 1 : 0;
  bool fits = array.shape.size() == shape.size() + first;
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    const bool is_open = !shape.at(i).is_number() || static_cast<int>(i + first) == column.axis;
    fits = is_open || shape.at(i) == array.shape[i + first];
  }
  if (!fits) {
    throw std::runtime_error(title + " has shape " + Shown(array.shape) + ", but the model wants " +
                             shape.dump() + ".");
  }
  CheckNumbers(array, column.axis, RangeOf(tensor, manifest), title);
  return column;
}

Batch Examples::At(const std::vector<size_t>& rows) const {
  Ort::AllocatorWithDefaultOptions allocator;
  Batch batch;
  for (const Column& column : columns_) {
    std::vector<int64_t> shape = column.array.shape;
    const size_t axis = column.axis < 0 ? 0 : static_cast<size_t>(column.axis);
    const size_t width = SizeOf(column.array.dtype);
    const size_t outer = Product(shape, 0, axis);
    const bool is_whole = column.axis < 0;
    const size_t length = is_whole ? 1 : static_cast<size_t>(shape[axis]);
    const size_t inner = width * Product(shape, is_whole ? 0 : axis + 1, shape.size());
    if (!is_whole) shape[axis] = static_cast<int64_t>(rows.size());
    if (column.squeezed) shape.erase(shape.begin());
    auto value = Ort::Value::CreateTensor(allocator, shape.data(), shape.size(),
                                          ElementType(column.array.dtype));
    auto* to = static_cast<char*>(value.GetTensorMutableRawData());
    const std::vector<size_t> first{0};
    for (size_t i = 0; i < outer; ++i) {
      for (size_t row : is_whole ? first : rows) {
        if (inner > 0) {
          std::memcpy(to, column.array.bytes.data() + (i * length + row) * inner, inner);
        }
        to += inner;
      }
    }
    batch.emplace(column.name, std::move(value));
  }
  return batch;
}

Batch Examples::All() const {
  std::vector<size_t> rows(size());
  std::iota(rows.begin(), rows.end(), size_t{0});
  return At(rows);
}

double Accuracy(const nlohmann::json& manifest, const Batch& batch,
                const std::vector<Ort::Value>& results) {
  const nlohmann::json term = LossesOf(manifest).at(0);
  if (!IsOfClasses(term)) return -1;
  size_t place = 1;
  for (const nlohmann::json& output : manifest.at("outputs")) {
    if (output.at("name") == term.at("prediction")) break;
    ++place;
  }
  const Ort::Value& label = batch.at(term.at("label").at("name").get<std::string>());
  const auto* wanted = label.GetTensorData<int64_t>();
  const auto* scores = results.at(place).GetTensorData<float>();
  const std::vector<int64_t> shape = results.at(place).GetTensorTypeAndShapeInfo().GetShape();
  const nlohmann::json& settings = term.at("settings");
  const nlohmann::json& weights = settings.at("class_weights");
  const auto axis = settings.at("class_axis").get<size_t>();
  const auto classes = static_cast<size_t>(shape.at(axis));
  const size_t inner = Product(shape, axis + 1, shape.size());
  const size_t count = label.GetTensorTypeAndShapeInfo().GetElementCount();
  size_t right = 0, counted = 0;
  for (size_t i = 0; i < count; ++i) {
    if (settings.at("ignore_index") == wanted[i]) continue;
    if (weights.is_array() && weights.at(static_cast<size_t>(wanted[i])) == 0) continue;
    const float* first = scores + i / inner * classes * inner + i % inner;
    size_t best = 0;
    for (size_t c = 1; c < classes; ++c) {
      if (first[c * inner] > first[best * inner]) best = c;
    }
    ++counted;
    right += static_cast<int64_t>(best) == wanted[i];
  }
  return counted == 0 ? 0 : static_cast<double>(right) / static_cast<double>(counted);
}

}  // namespace svgd
