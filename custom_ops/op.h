// An operator of ai.svgd as onnxruntime knows it. An operator is a file that makes its
// definitions, and a line in the table in register.cc.
#pragma once

#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "attributes.h"
#include "onnxruntime_abi.h"
#include "op_kernel.h"
#include "shape_inference.h"

namespace svgd {

struct Port {
  ONNXTensorElementDataType type;
  OrtCustomOpInputOutputCharacteristic presence = INPUT_OUTPUT_REQUIRED;
};

// Pairs of an input and an output; onnxruntime gives their memory back to std::free.
using Pairs = size_t (*)(int** inputs, int** outputs);

// An operator, for types of its tensors and an execution provider.
struct OpDefinition {
  const char* name;
  const char* provider;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
  std::function<std::unique_ptr<OpKernel>(const Attributes& attributes)> create;
  // May be empty. What does not fit is left to the run: onnxruntime does not pass on what it
  // refuses.
  std::function<void(ShapeInference& node)> infer_shapes;
  Pairs may_inplace = nullptr;  // outputs that may lie where an input lies
  Pairs alias = nullptr;        // those that do lie there
};

// The pairs (input, output), (input, output), ...
template <int... kPlaces>
size_t PairsOf(int** inputs, int** outputs) {
  constexpr int places[] = {kPlaces...};
  constexpr size_t count = sizeof...(kPlaces) / 2;
  *inputs = static_cast<int*>(std::malloc(count * sizeof(int)));
  *outputs = static_cast<int*>(std::malloc(count * sizeof(int)));
  if (*inputs == nullptr || *outputs == nullptr) return 0;
  for (size_t i = 0; i < count; ++i) {
    (*inputs)[i] = places[2 * i];
    (*outputs)[i] = places[2 * i + 1];
  }
  return count;
}

// A definition with the functions that onnxruntime calls back, which get it as an OrtCustomOp.
struct Op : OrtCustomOp {
  Op(const OrtApi& api, OpDefinition definition);

  const OrtApi* api;
  OpDefinition definition;
};

}  // namespace svgd
