#include "virtual_gradient_op.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <string>
#include <vector>

namespace svgd {
namespace {

constexpr const char* Name(Form form) {
  return form == Form::kVirtualGradient ? "VirtualGradient" : "GradientFactor";
}

[[noreturn]] void Refuse(const OrtApi& api, Form form, const std::string& sentence) {
  throw StatusError{
      api.CreateStatus(ORT_INVALID_ARGUMENT, (Name(form) + (": " + sentence)).c_str())};
}

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

using Shape = std::vector<int64_t>;

std::string Text(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i ? ", " : "") + (shape[i] < 0 ? std::string("?") : std::to_string(shape[i]));
  }
  return text + ")";
}

Shape ReadShape(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info) {
  size_t rank = 0;
  Check(api.GetDimensionsCount(info, &rank));
  Shape shape(rank);
  if (rank > 0) Check(api.GetDimensions(info, shape.data(), rank));
  return shape;
}

Shape ReadShape(const OrtApi& api, const OrtValue* value) {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  Check(api.GetTensorTypeAndShape(value, &info));
  // Released on every way out.
  struct Release {
    const OrtApi& api;
    OrtTensorTypeAndShapeInfo* info;
    ~Release() { api.ReleaseTensorTypeAndShapeInfo(info); }
  } release{api, info};
  return ReadShape(api, info);
}

constexpr int64_t kNoChannelAxis = -1;

// r's shape has to be that of dY without its first axis, or the size of the channel axis; axes of
// unknown size (-1) fit anything.
void CheckShapes(const OrtApi& api, Form form, const Shape& dy, const Shape& r,
                 int64_t channel_axis) {
  Shape wanted;
  bool fits = !dy.empty();
  if (channel_axis != kNoChannelAxis) {
    fits = channel_axis < static_cast<int64_t>(dy.size());
    if (fits) wanted = {dy[static_cast<size_t>(channel_axis)]};
  } else if (fits) {
    wanted.assign(dy.begin() + 1, dy.end());
  }
  fits = fits && wanted.size() == r.size();
  for (size_t i = 0; fits && i < r.size(); ++i) {
    fits = wanted[i] == r[i] || wanted[i] < 0 || r[i] < 0;
  }
  if (!fits) {
    const std::string rule =
        channel_axis == kNoChannelAxis
            ? "r must have the shape of dY without its first axis."
            : "r must have an entry for each of axis " + std::to_string(channel_axis) + " of dY.";
    Refuse(api, form, "r has shape " + Text(r) + ", but dY has " + Text(dy) + "; " + rule);
  }
}

// An integer attribute, or `fallback` where it is absent.
int64_t IntegerAttribute(const OrtApi& api, const OrtKernelInfo* info, const char* name,
                         int64_t fallback) {
  int64_t value = fallback;
  if (OrtStatus* absent = api.KernelInfoGetAttribute_int64(info, name, &value)) {
    api.ReleaseStatus(absent);
    return fallback;
  }
  return value;
}

float Attribute(const OrtApi& api, Form form, const OrtKernelInfo* info, const char* name,
                float fallback) {
  float value = fallback;
  if (OrtStatus* absent = api.KernelInfoGetAttribute_float(info, name, &value)) {
    api.ReleaseStatus(absent);
    // An attribute of another type reads as absent. An integer is the likely one, as in rho=0, and
    // must not turn into the default unnoticed.
    int64_t integer = 0;
    OrtStatus* no_integer = api.KernelInfoGetAttribute_int64(info, name, &integer);
    if (no_integer == nullptr) {
      Refuse(api, form,
             std::string("attribute ") + name + " is the integer " + std::to_string(integer) +
                 ", but must be a float.");
    }
    api.ReleaseStatus(no_integer);
    return fallback;
  }
  return value;
}

size_t Size(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), size_t{1}, [](size_t product, int64_t size) {
    return product * static_cast<size_t>(size);
  });
}

}  // namespace

Kernel::Kernel(const OrtApi& api, const OrtKernelInfo* info, Form form)
    : api_(api),
      form_(form),
      attributes_{Attribute(api, form, info, "rho", 0.9F),
                  Attribute(api, form, info, "epsilon", 1e-6F),
                  Attribute(api, form, info, "scale", 1.0F), 1.0F},
      channel_axis_{IntegerAttribute(api, info, "channel_axis", kNoChannelAxis)},
      per_example_{IntegerAttribute(api, info, "per_example", 0) != 0} {
  if (channel_axis_ < kNoChannelAxis || channel_axis_ == 0) {
    Refuse(api_, form_,
           "attribute channel_axis is " + std::to_string(channel_axis_) +
               ", but must be 1 or more, or absent.");
  }
  CheckAttribute("rho", attributes_.rho, attributes_.rho >= 0 && attributes_.rho < 1,
                 "at least 0 and below 1");
  CheckAttribute("epsilon", attributes_.epsilon, attributes_.epsilon > 0, "positive");
  CheckAttribute("scale", attributes_.scale, attributes_.scale > 0, "positive");
}

void Kernel::Run(OrtKernelContext* context) const {
  const OrtValue* dy = nullptr;
  const OrtValue* r = nullptr;
  Check(api_.KernelContext_GetInput(context, 0, &dy));
  Check(api_.KernelContext_GetInput(context, 1, &r));
  const Shape dy_shape = ReadShape(api_, dy);
  const Shape r_shape = ReadShape(api_, r);
  CheckShapes(api_, form_, dy_shape, r_shape, channel_axis_);
  const bool scaled = form_ == Form::kVirtualGradient;
  const Shape& out_shape = scaled ? dy_shape : r_shape;
  OrtValue* out = nullptr;
  OrtValue* r_new = nullptr;
  Check(api_.KernelContext_GetOutput(context, 0, out_shape.data(), out_shape.size(), &out));
  Check(api_.KernelContext_GetOutput(context, 1, r_shape.data(), r_shape.size(), &r_new));

  VirtualGradientShape shape{static_cast<size_t>(dy_shape[0]), Size(r_shape), 1};
  if (channel_axis_ != kNoChannelAxis) {
    const auto axis = dy_shape.begin() + static_cast<std::ptrdiff_t>(channel_axis_);
    shape.outer = Size({dy_shape.begin(), axis});
    shape.inner = Size({axis + 1, dy_shape.end()});
  }
  VirtualGradientAttributes attributes = attributes_;
  if (per_example_) attributes.gradient_factor = static_cast<float>(dy_shape[0]);
  void* first = Data(out);
  Apply({dy, Data(dy), Data(r), scaled ? first : nullptr, Data(r_new), scaled ? nullptr : first},
        shape, attributes, context);
}

void Kernel::CheckAttribute(const char* name, float value, bool inside, const char* wanted) const {
  if (!std::isfinite(value) || !inside) {
    char text[32];  // std::to_string would print a small number as 0.000000
    std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
    Refuse(api_, form_,
           std::string("attribute ") + name + " is " + text + ", but must be " + wanted + ".");
  }
}

void* Kernel::Data(const OrtValue* value) const {
  void* data = nullptr;
  Check(api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  return data;
}

namespace {

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
  const auto& self = *static_cast<const Kernel*>(kernel);
  return Guard(self.api(), [&] { self.Run(context); });
}

void DestroyKernel(void* kernel) { delete static_cast<Kernel*>(kernel); }

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
       ONNXTensorElementDataType its_element, MakeKernel its_create)
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
