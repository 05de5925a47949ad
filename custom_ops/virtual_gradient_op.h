// The operators ai.svgd::VirtualGradient and ai.svgd::GradientFactor in a session, apart from the
// arithmetic, which each execution provider has its own kernel for.
#pragma once

#include <memory>
#include <vector>

#include "attributes.h"
#include "op.h"
#include "op_kernel.h"
#include "virtual_gradient.h"

namespace svgd {

// What an operator gives as its first output. Both have the inputs dY (N, ...) and r, which is
// (...), or (C) with the attribute channel_axis; dY is float, double, float16 or bfloat16; r is
// double for double, else float. Attributes rho, epsilon, scale, channel_axis, channels_last and
// per_example. With channels_last dY is (N, ..., C), and r (C, ...) all the same. The second output
// is the new r, which lies where r lies. Two more may be asked for: the size of the new r, one
// number, the sum of |r|, which is finite where r is; and the sums of dY over all axes but the last
// (C), where dY has its r's axes one by one: without channel_axis, or with the last.
enum class Form {
  kVirtualGradient,  // T(dY) (N, ...), which may lie where dY lies
  kGradientFactor,   // the factor of dY in T: an example's shape, or (C) with channel_axis
};

class VirtualGradientOp : public OpKernel {
 public:
  VirtualGradientOp(const Attributes& attributes, Form form);
  void Run(const RunContext& context) const final;

 protected:
  // The arrays of a run. `out` is null for Form::kGradientFactor, and `factors` for the other.
  struct Arrays {
    const OrtValue* dy_value;
    const OrtValue* r_value;
    const void* dy;
    const void* r;
    void* out;
    void* r_new;
    void* factors;
    void* size;   // or null
    void* sums;   // or null
    size_t last;  // of dY's axes
  };

 private:
  virtual void Apply(const Arrays& arrays, const VirtualGradientShape& shape,
                     const VirtualGradientAttributes& attributes,
                     const RunContext& context) const = 0;

  const Form form_;
  const VirtualGradientAttributes attributes_;
  const int64_t channel_axis_;
  const bool channels_last_;
  const bool per_example_;
};

// A form of the operator for a type of dY.
OpDefinition VirtualGradientDefinition(
    Form form, const char* provider, ONNXTensorElementDataType element,
    std::function<std::unique_ptr<OpKernel>(const Attributes& attributes)> create);

// The operators of an execution provider: TypedKernel<Element> is its kernel for a type of dY.
template <template <typename Element> class TypedKernel>
std::vector<OpDefinition> VirtualGradientDefinitions(const char* provider) {
  std::vector<OpDefinition> definitions;
  for (const Form form : {Form::kVirtualGradient, Form::kGradientFactor}) {
    const auto add = [&](ONNXTensorElementDataType element, auto none) {
      using Kernel = TypedKernel<decltype(none)>;
      definitions.push_back(
          VirtualGradientDefinition(form, provider, element, [form](const Attributes& attributes) {
            return std::make_unique<Kernel>(attributes, form);
          }));
    };
    add(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, float{});
    add(ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, double{});
    add(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, Float16{});
    add(ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, BFloat16{});
  }
  return definitions;
}

}  // namespace svgd
