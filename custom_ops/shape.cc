#include "shape.h"

#include <numeric>

#include "status.h"

namespace svgd {

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
  OrtTensorTypeAndShapeInfo* info = nullptr;
  Check(api.GetTensorTypeAndShape(value, &info));
  // Released on every way out.
  struct Release {
    const OrtApi& api;
    OrtTensorTypeAndShapeInfo* info;
    ~Release() { api.ReleaseTensorTypeAndShapeInfo(info); }
  } release{api, info};
  return ReadShape(api, info);
}

size_t Size(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), size_t{1}, [](size_t product, int64_t size) {
    return product * static_cast<size_t>(size);
  });
}

}  // namespace svgd
