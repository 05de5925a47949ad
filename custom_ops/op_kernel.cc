#include "op_kernel.h"

#include "status.h"

namespace svgd {

RunContext::RunContext(const OrtApi& api, OrtKernelContext* context)
    : api_(api), context_(context) {
  Check(api_.KernelContext_GetInputCount(context_, &inputs_));
  Check(api_.KernelContext_GetOutputCount(context_, &outputs_));
}

const OrtValue* RunContext::Input(size_t index) const {
  const OrtValue* value = nullptr;
  if (index < inputs_) Check(api_.KernelContext_GetInput(context_, index, &value));
  return value;
}

OrtValue* RunContext::Output(size_t index, const Shape& shape) const {
  OrtValue* value = nullptr;
  if (index < outputs_) {
    Check(api_.KernelContext_GetOutput(context_, index, shape.data(), shape.size(), &value));
  }
  return value;
}

void* RunContext::Data(const OrtValue* value) const {
  if (value == nullptr) return nullptr;
  void* data = nullptr;
  Check(api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  return data;
}

}  // namespace svgd
