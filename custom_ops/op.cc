#include "op.h"

#include <exception>
#include <string>
#include <utility>

#include "status.h"

namespace svgd {
namespace {

const Op& Self(const OrtCustomOp* op) { return *static_cast<const Op*>(op); }

// A node of a session, and what operator it is of.
struct Node {
  const Op& op;
  std::unique_ptr<OpKernel> kernel;
};

// No exception may leave through the C interface.
template <typename Body>
OrtStatus* Guard(const Op& op, Body&& body) noexcept {
  const OrtApi& api = *op.api;
  try {
    body();
    return nullptr;
  } catch (const StatusError& error) {
    return error.status;
  } catch (const Refusal& refusal) {
    const std::string sentence = op.definition.name + (": " + std::string(refusal.what()));
    return api.CreateStatus(ORT_INVALID_ARGUMENT, sentence.c_str());
  } catch (const std::exception& error) {
    return api.CreateStatus(ORT_FAIL, error.what());
  } catch (...) {
    return api.CreateStatus(ORT_FAIL, "ai.svgd: an unknown error.");
  }
}

// What onnxruntime calls back.

OrtStatus* CreateNode(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                      void** kernel) {
  return Guard(Self(op), [&] {
    *kernel = new Node{Self(op), Self(op).definition.create(KernelAttributes(*api, info))};
  });
}

OrtStatus* Compute(void* kernel, OrtKernelContext* context) {
  const Node& node = *static_cast<const Node*>(kernel);
  return Guard(node.op, [&] { node.kernel->Run(RunContext(*node.op.api, context)); });
}

void DestroyNode(void* kernel) { delete static_cast<Node*>(kernel); }

OrtStatus* InferShapes(const OrtCustomOp* op, OrtShapeInferContext* context) {
  return Guard(Self(op), [&] {
    ShapeInference node(*Self(op).api, context);
    Self(op).definition.infer_shapes(node);
  });
}

const char* OpName(const OrtCustomOp* op) { return Self(op).definition.name; }
const char* ExecutionProvider(const OrtCustomOp* op) { return Self(op).definition.provider; }
int One(const OrtCustomOp*) { return 1; }
size_t InputCount(const OrtCustomOp* op) { return Self(op).definition.inputs.size(); }
size_t OutputCount(const OrtCustomOp* op) { return Self(op).definition.outputs.size(); }
ONNXTensorElementDataType InputType(const OrtCustomOp* op, size_t index) {
  return Self(op).definition.inputs[index].type;
}
ONNXTensorElementDataType OutputType(const OrtCustomOp* op, size_t index) {
  return Self(op).definition.outputs[index].type;
}
OrtCustomOpInputOutputCharacteristic InputPresence(const OrtCustomOp* op, size_t index) {
  return Self(op).definition.inputs[index].presence;
}
OrtCustomOpInputOutputCharacteristic OutputPresence(const OrtCustomOp* op, size_t index) {
  return Self(op).definition.outputs[index].presence;
}
OrtMemType DefaultMemory(const OrtCustomOp*, size_t) { return OrtMemTypeDefault; }
void FreePairs(int* inputs, int* outputs) {
  std::free(inputs);
  std::free(outputs);
}

}  // namespace

Op::Op(const OrtApi& its_api, OpDefinition its_definition)
    : OrtCustomOp{}, api(&its_api), definition(std::move(its_definition)) {
  version = kOrtApiVersion;
  GetName = OpName;
  GetExecutionProviderType = ExecutionProvider;
  GetInputType = InputType;
  GetInputTypeCount = InputCount;
  GetOutputType = OutputType;
  GetOutputTypeCount = OutputCount;
  KernelDestroy = DestroyNode;
  GetInputCharacteristic = InputPresence;
  GetOutputCharacteristic = OutputPresence;
  GetInputMemoryType = DefaultMemory;
  GetVariadicInputMinArity = One;
  GetVariadicInputHomogeneity = One;
  GetVariadicOutputMinArity = One;
  GetVariadicOutputHomogeneity = One;
  CreateKernelV2 = CreateNode;
  KernelComputeV2 = Compute;
  if (definition.infer_shapes) InferOutputShapeFn = InferShapes;
  GetStartVersion = One;
  GetEndVersion = One;
  if (definition.may_inplace != nullptr) {
    GetMayInplace = definition.may_inplace;
    ReleaseMayInplace = FreePairs;
  }
  if (definition.alias != nullptr) {
    GetAliasMap = definition.alias;
    ReleaseAliasMap = FreePairs;
  }
}

}  // namespace svgd
