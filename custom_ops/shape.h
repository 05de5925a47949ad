// Shapes of tensors as onnxruntime's C interface hands them over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "onnxruntime_abi.h"

namespace svgd {

using Shape = std::vector<int64_t>;  // -1 is a size that is not known

std::string Text(const Shape& shape);
size_t Size(const Shape& shape);
Shape ReadShape(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info);
Shape ReadShape(const OrtApi& api, const OrtValue* value);
// As Size(ReadShape(api, value)), without a list of the sizes.
size_t ReadSize(const OrtApi& api, const OrtValue* value);

}  // namespace svgd
