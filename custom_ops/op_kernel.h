// What an operator of ai.svgd does in a session, apart from the arithmetic, which each execution
// provider has its own kernel for.
#pragma once

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

constexpr const char* Name(Form form) {
  return form == Form::kVirtualGradient ? "VirtualGradient" : "GradientFactor";
}

// An operator of a session.
class OpKernel {
 public:
  OpKernel(const OrtApi& api, const OrtKernelInfo* info, Form form);
  virtual ~OpKernel() = default;
  OpKernel(const OpKernel&) = delete;
  OpKernel& operator=(const OpKernel&) = delete;

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

}  // namespace svgd
