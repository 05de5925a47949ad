#include "shape_inference.h"

#include "shape.h"
#include "status.h"

namespace svgd {

size_t ShapeInference::inputs() const {
  size_t count = 0;
  Check(api_.ShapeInferContext_GetInputCount(context_, &count));
  return count;
}

OrtTensorTypeAndShapeInfo* ShapeInference::Info(size_t input) const {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  Check(api_.ShapeInferContext_GetInputTypeShape(context_, input, &info));
  return info;
}

SymbolicShape ShapeInference::Input(size_t index) const {
  const OrtTensorTypeAndShapeInfo* info = Info(index);
  const Shape sizes = ReadShape(api_, info);
  std::vector<const char*> symbols(sizes.size(), nullptr);
  if (!sizes.empty()) Check(api_.GetSymbolicDimensions(info, symbols.data(), symbols.size()));
  SymbolicShape shape(sizes.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    shape[i] = {sizes[i], symbols[i] == nullptr ? "" : symbols[i]};
  }
  return shape;
}

void ShapeInference::SetShapeOf(size_t output, size_t input) {
  const SymbolicShape shape = Input(input);
  if (shape.empty()) return;  // of unknown rank
  for (const Dimension& dimension : shape) {
    if (!dimension.known() && dimension.symbol.empty()) return;
  }
  Check(api_.ShapeInferContext_SetOutputTypeShape(context_, output, Info(input)));
}

void ShapeInference::SetShape(size_t output, const SymbolicShape& shape,
                              ONNXTensorElementDataType type) {
  std::vector<int64_t> sizes;
  std::vector<const char*> symbols;
  for (const Dimension& dimension : shape) {
    if (!dimension.known() && dimension.symbol.empty()) return;
    sizes.push_back(dimension.known() ? dimension.size : -1);
    symbols.push_back(dimension.known() ? "" : dimension.symbol.c_str());
  }
  OrtTensorTypeAndShapeInfo* info = nullptr;
  Check(api_.CreateTensorTypeAndShapeInfo(&info));
  // Released on every way out.
  struct Release {
    const OrtApi& api;
    OrtTensorTypeAndShapeInfo* info;
    ~Release() { api.ReleaseTensorTypeAndShapeInfo(info); }
  } release{api_, info};
  Check(api_.SetTensorElementType(info, type));
  Check(api_.SetDimensions(info, sizes.data(), sizes.size()));
  Check(api_.SetSymbolicDimensions(info, symbols.data(), symbols.size()));
  Check(api_.ShapeInferContext_SetOutputTypeShape(context_, output, info));
}

const OrtOpAttr* ShapeInference::Attribute(const char* name) const {
  const OrtOpAttr* attribute = nullptr;
  if (OrtStatus* absent = api_.ShapeInferContext_GetAttribute(context_, name, &attribute)) {
    api_.ReleaseStatus(absent);
    return nullptr;
  }
  return attribute;
}

bool ShapeInference::Read(const char* name, OrtOpAttrType type, void* data, size_t bytes) const {
  const OrtOpAttr* attribute = Attribute(name);
  if (attribute == nullptr) return false;
  size_t needed = 0;
  if (OrtStatus* other = api_.ReadOpAttr(attribute, type, data, bytes, &needed)) {
    api_.ReleaseStatus(other);
    return false;
  }
  return true;
}

std::optional<int64_t> ShapeInference::Integer(const char* name) const {
  int64_t value = 0;
  if (!Read(name, ORT_OP_ATTR_INT, &value, sizeof value)) return std::nullopt;
  return value;
}

std::optional<float> ShapeInference::Float(const char* name) const {
  float value = 0;
  if (!Read(name, ORT_OP_ATTR_FLOAT, &value, sizeof value)) return std::nullopt;
  return value;
}

std::optional<std::vector<int64_t>> ShapeInference::Integers(const char* name) const {
  const OrtOpAttr* attribute = Attribute(name);
  if (attribute == nullptr) return std::nullopt;
  size_t bytes = 0;
  // Without room for them it says how much they need.
  if (OrtStatus* no_room = api_.ReadOpAttr(attribute, ORT_OP_ATTR_INTS, nullptr, 0, &bytes)) {
    api_.ReleaseStatus(no_room);
  }
  std::vector<int64_t> values(bytes / sizeof(int64_t));
  if (bytes > 0 && !Read(name, ORT_OP_ATTR_INTS, values.data(), bytes)) return std::nullopt;
  return values;
}

}  // namespace svgd
