// The operators ai.svgd::VirtualGradient and ai.svgd::GradientFactor as onnxruntime knows them.
#pragma once

#include <vector>

#include "onnxruntime_abi.h"
#include "op_kernel.h"

namespace svgd {

using MakeOpKernel = OpKernel* (*)(const OrtApi& api, const OrtKernelInfo* info, Form form);

// A form of the operator, for a type of dY and an execution provider. Its functions get it back as
// an OrtCustomOp.
struct Op : OrtCustomOp {
  Op(const OrtApi& api, Form form, const char* provider, ONNXTensorElementDataType element,
     MakeOpKernel create);

  const OrtApi* api;
  Form form;
  const char* provider;
  ONNXTensorElementDataType element;
  ONNXTensorElementDataType number;  // of r
  MakeOpKernel create;
};

// The operators of an execution provider: TypedKernel<Element> is its kernel for a type of dY.
template <template <typename Element> class TypedKernel>
std::vector<Op> MakeOps(const OrtApi& api, const char* provider) {
  std::vector<Op> ops;
  for (const Form form : {Form::kVirtualGradient, Form::kGradientFactor}) {
    const auto add = [&](ONNXTensorElementDataType element, auto create) {
      ops.emplace_back(api, form, provider, element, create);
    };
    add(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, TypedKernel<float>::Create);
    add(ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, TypedKernel<double>::Create);
    add(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, TypedKernel<Float16>::Create);
    add(ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, TypedKernel<BFloat16>::Create);
  }
  return ops;
}

}  // namespace svgd
