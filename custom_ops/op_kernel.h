// What an operator of ai.svgd does in a session.
#pragma once

#include "onnxruntime_abi.h"
#include "shape.h"

namespace svgd {

// The tensors of one run of a node.
class RunContext {
 public:
  RunContext(const OrtApi& api, OrtKernelContext* context);

  const OrtApi& api() const { return api_; }
  OrtKernelContext* get() const { return context_; }

  size_t inputs() const { return inputs_; }
  // Null where an optional one is absent.
  const OrtValue* Input(size_t index) const;
  Shape InputShape(size_t index) const { return ReadShape(api_, Input(index)); }
  size_t InputSize(size_t index) const { return ReadSize(api_, Input(index)); }
  template <typename Element>
  const Element* InputData(size_t index) const {
    return static_cast<const Element*>(Data(Input(index)));
  }
  // Makes the output; null where nobody asks for an optional one.
  OrtValue* Output(size_t index, const Shape& shape) const;
  template <typename Element>
  Element* OutputData(size_t index, const Shape& shape) const {
    return static_cast<Element*>(Data(Output(index, shape)));
  }
  // Null for null.
  void* Data(const OrtValue* value) const;

 private:
  const OrtApi& api_;
  OrtKernelContext* context_;
  size_t inputs_ = 0;
  size_t outputs_ = 0;
};

// A node of a session. Several threads may run it at once.
class OpKernel {
 public:
  OpKernel() = default;
  virtual ~OpKernel() = default;
  OpKernel(const OpKernel&) = delete;
  OpKernel& operator=(const OpKernel&) = delete;

  // Throws a Refusal or a StatusError.
  virtual void Run(const RunContext& context) const = 0;
};

}  // namespace svgd
