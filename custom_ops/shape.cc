#include "shape.h"

#include <numeric>

#include "status.h"

namespace svgd {
namespace {

// What a value says of itself, released on every way out.
class TypeAndShape {
 public:
  TypeAndShape(const OrtApi& api, const OrtValue* value) : api_(api) {
    Check(api_.GetTensorTypeAndShape(value, &info_));
  }
  ~TypeAndShape() { api_.ReleaseTensorTypeAndShapeInfo(info_); }
  TypeAndShape(const TypeAndShape&) = delete;
  TypeAndShape& operator=(const TypeAndShape&) = delete;

  const OrtTensorTypeAndShapeInfo* get() const { return info_; }

 private:
  const OrtApi& api_;
  OrtTensorTypeAndShapeInfo* info_ = nullptr;
};

}  // namespace

std::string Text(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i ? ", " : "") + (shape[i] < 0 ? std::string("?") : std::to_string(shape[i]));
  }
  return text + ")";
}

Shape ReadShape(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info) {
  size_t rank = 0;
  Check(api.GetDimensionsCount(info, &rank));
  Shape shape(rank);
  if (rank > 0) Check(api.GetDimensions(info, shape.data(), rank));
  return shape;
}

Shape ReadShape(const OrtApi& api, const OrtValue* value) {
  return ReadShape(api, TypeAndShape(api, value).get());
}

size_t ReadSize(const OrtApi& api, const OrtValue* value) {
  size_t size = 0;
  Check(api.GetTensorShapeElementCount(TypeAndShape(api, value).get(), &size));
  return size;
}

size_t Size(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), size_t{1}, [](size_t product, int64_t size) {
    return product * static_cast<size_t>(size);
  });
}

}  // namespace svgd
