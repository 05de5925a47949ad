#include "virtual_gradient_op.h"

#include <cstdlib>
#include <exception>

#include "shape.h"
#include "status.h"

namespace svgd {
namespace {

// No exception may leave through the C interface.
template <typename Body>
OrtStatus* Guard(const OrtApi& api, Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const StatusError& error) {
    return error.status;
  } catch (const std::exception& error) {
    return api.CreateStatus(ORT_FAIL, error.what());
  } catch (...) {
    return api.CreateStatus(ORT_FAIL, "ai.svgd: an unknown error.");
  }
}

// What onnxruntime calls back.

const Op& Self(const OrtCustomOp* op) { return *static_cast<const Op*>(op); }

OrtStatus* CreateOpKernel(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                          void** kernel) {
  return Guard(*api, [&] { *kernel = Self(op).create(*api, info, Self(op).form); });
}

// Known shapes let onnxruntime plan its memory, and so let T(dY) overwrite dY. Whether they fit is
// seen when the kernel runs: onnxruntime does not pass on what this function refuses.
OrtStatus* InferShapes(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const OrtApi& api = *Self(op).api;
  return Guard(api, [&] {
    for (size_t output = 0; output < 2; ++output) {
      const size_t input = Self(op).form == Form::kGradientFactor ? 1 : output;
      OrtTensorTypeAndShapeInfo* info = nullptr;
      Check(api.ShapeInferContext_GetInputTypeShape(context, input, &info));
      // A tensor of unknown rank looks like one of rank 0 here: nothing to infer from.
      if (ReadShape(api, info).empty()) continue;
      Check(api.ShapeInferContext_SetOutputTypeShape(context, output, info));
    }
  });
}

OrtStatus* ComputeKernel(void* kernel, OrtKernelContext* context) {
  const auto& self = *static_cast<const OpKernel*>(kernel);
  return Guard(self.api(), [&] { self.Run(context); });
}

void DestroyKernel(void* kernel) { delete static_cast<OpKernel*>(kernel); }

const char* OpName(const OrtCustomOp* op) { return Name(Self(op).form); }
const char* ExecutionProvider(const OrtCustomOp* op) { return Self(op).provider; }
size_t Two(const OrtCustomOp*) { return 2; }
int One(const OrtCustomOp*) { return 1; }
ONNXTensorElementDataType InputType(const OrtCustomOp* op, size_t index) {
  return index == 0 ? Self(op).element : Self(op).number;
}
ONNXTensorElementDataType OutputType(const OrtCustomOp* op, size_t index) {
  return index == 0 && Self(op).form == Form::kVirtualGradient ? Self(op).element : Self(op).number;
}
OrtCustomOpInputOutputCharacteristic Required(const OrtCustomOp*, size_t) {
  return INPUT_OUTPUT_REQUIRED;
}
OrtMemType DefaultMemory(const OrtCustomOp*, size_t) { return OrtMemTypeDefault; }

// A pair (input, output), in memory that onnxruntime gives back to FreePair.
size_t Pair(int input, int output, int** inputs, int** outputs) {
  *inputs = static_cast<int*>(std::malloc(sizeof(int)));
  *outputs = static_cast<int*>(std::malloc(sizeof(int)));
  if (*inputs == nullptr || *outputs == nullptr) return 0;
  **inputs = input;
  **outputs = output;
  return 1;
}
void FreePair(int* inputs, int* outputs) {
  std::free(inputs);
  std::free(outputs);
}
size_t MayInplace(int** inputs, int** outputs) { return Pair(0, 0, inputs, outputs); }
size_t Alias(int** inputs, int** outputs) { return Pair(1, 1, inputs, outputs); }

}  // namespace

Op::Op(const OrtApi& its_api, Form its_form, const char* its_provider,
       ONNXTensorElementDataType its_element, MakeOpKernel its_create)
    : OrtCustomOp{},
      api(&its_api),
      form(its_form),
      provider(its_provider),
      element(its_element),
      number(its_element == ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE
                 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE
                 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT),
      create(its_create) {
  version = kOrtApiVersion;
  GetName = OpName;
  GetExecutionProviderType = ExecutionProvider;
  GetInputType = InputType;
  GetInputTypeCount = Two;
  GetOutputType = OutputType;
  GetOutputTypeCount = Two;
  KernelDestroy = DestroyKernel;
  GetInputCharacteristic = Required;
  GetOutputCharacteristic = Required;
  GetInputMemoryType = DefaultMemory;
  GetVariadicInputMinArity = One;
  GetVariadicInputHomogeneity = One;
  GetVariadicOutputMinArity = One;
  GetVariadicOutputHomogeneity = One;
  CreateKernelV2 = CreateOpKernel;
  KernelComputeV2 = ComputeKernel;
  InferOutputShapeFn = InferShapes;
  GetStartVersion = One;
  GetEndVersion = One;
  if (form == Form::kVirtualGradient) {
    GetMayInplace = MayInplace;
    ReleaseMayInplace = FreePair;
  }
  GetAliasMap = Alias;
  ReleaseAliasMap = FreePair;
}

}  // namespace svgd
