#include "examples.h"

#include <cstring>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>

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

}  // namespace

Examples::Examples(const std::filesystem::path& folder, const nlohmann::json& manifest) {
  const std::vector<nlohmann::json> tensors = ArraysOf(manifest);
  bool one = true;
  for (const nlohmann::json& tensor : tensors) one = one && tensor.at("batch_axis").is_null();
  if (one) fixed_batch_ = 1;
  bool counted = false;
  for (const nlohmann::json& tensor : tensors) {
    columns_.push_back(Read(folder, tensor, one));
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
                                bool one) const {
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
  static const std::set<std::string> of_classes = {"cross-entropy", "focal", "hinge"};
  const nlohmann::json term = LossesOf(manifest).at(0);
  if (of_classes.count(term.at("loss")) == 0) return -1;
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
