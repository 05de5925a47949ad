// The operators ai.svgd::VirtualGradient and ai.svgd::GradientFactor, apart from the arithmetic,
// which each execution provider has its own kernel for.
#pragma once

#include <vector>

#include "onnxruntime_abi.h"
#include "virtual_gradient.h"

namespace svgd {

// What an operator gives as its first output. Both have the inputs dY (N, ...) and r, which is
// (...), or (C) with the attribute channel_axis; dY is float, double, float16 or bfloat16; r is
// double for double, else float. Attributes rho, epsilon, scale, channel_axis and per_example. The
// second output is the new r, which lies where r lies.
enum class Form {
  kVirtualGradient,  // T(dY) (N, ...), which may lie where dY lies
  kGradientFactor,   // the factor of dY in T, of r's shape
};

// An onnxruntime status on its way through C++; turned back at the boundary.
struct StatusError {
  OrtStatus* status;
};

inline void Check(OrtStatus* status) {
  if (status != nullptr) throw StatusError{status};
}

// An operator of a session.
class Kernel {
 public:
  Kernel(const OrtApi& api, const OrtKernelInfo* info, Form form);
  virtual ~Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  const OrtApi& api() const { return api_; }
  void Run(OrtKernelContext* context) const;

 protected:
  // The arrays of a run. `out` is null for Form::kGradientFactor, and `factors` for the other.
  struct Arrays {
    const OrtValue* dy_value;
    const void* dy;
    const void* r;
    void* out;
    void* r_new;
    void* factors;
  };

 private:
  virtual void Apply(const Arrays& arrays, const VirtualGradientShape& shape,
                     const VirtualGradientAttributes& attributes,
                     OrtKernelContext* context) const = 0;
  void CheckAttribute(const char* name, float value, bool inside, const char* wanted) const;
  void* Data(const OrtValue* value) const;

  const OrtApi& api_;
  const Form form_;
  const VirtualGradientAttributes attributes_;
  const int64_t channel_axis_;
  const bool per_example_;
};

using MakeKernel = Kernel* (*)(const OrtApi& api, const OrtKernelInfo* info, Form form);

// A form of the operator, for a type of dY and an execution provider. Its functions get it back as
// an OrtCustomOp.
struct Op : OrtCustomOp {
  Op(const OrtApi& api, Form form, const char* provider, ONNXTensorElementDataType element,
     MakeKernel create);

  const OrtApi* api;
  Form form;
  const char* provider;
  ONNXTensorElementDataType element;
  ONNXTensorElementDataType number;  // of r
  MakeKernel create;
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
