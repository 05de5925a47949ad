#include "attributes.h"

namespace svgd {
namespace {

// Whether it went well; a status of something else is given back.
bool Ok(const OrtApi& api, OrtStatus* status) {
  if (status != nullptr) api.ReleaseStatus(status);
  return status == nullptr;
}

}  // namespace

std::optional<int64_t> KernelAttributes::Integer(const char* name) const {
  int64_t value = 0;
  if (!Ok(api_, api_.KernelInfoGetAttribute_int64(info_, name, &value))) return std::nullopt;
  return value;
}

std::optional<std::vector<int64_t>> KernelAttributes::Integers(const char* name) const {
  size_t count = 0;
  if (!Ok(api_, api_.KernelInfoGetAttributeArray_int64(info_, name, nullptr, &count))) {
    return std::nullopt;
  }
  std::vector<int64_t> values(count);
  if (count > 0 &&
      !Ok(api_, api_.KernelInfoGetAttributeArray_int64(info_, name, values.data(), &count))) {
    return std::nullopt;
  }
  return values;
}

std::optional<float> KernelAttributes::Float(const char* name) const {
  float value = 0;
  if (!Ok(api_, api_.KernelInfoGetAttribute_float(info_, name, &value))) return std::nullopt;
  return value;
}

}  // namespace svgd
