#include "cpu/virtual_gradient_op.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <string>
#include <vector>

#include "cpu/virtual_gradient_kernel.h"

namespace svgd {
namespace {

constexpr char kName[] = "VirtualGradient";

// An onnxruntime status on its way through C++; turned back at the boundary.
struct StatusError {
  OrtStatus* status;
};

void Check(OrtStatus* status) {
  if (status != nullptr) throw StatusError{status};
}

[[noreturn]] void Refuse(const OrtApi& api, const std::string& sentence) {
  throw StatusError{api.CreateStatus(ORT_INVALID_ARGUMENT, (kName + (": " + sentence)).c_str())};
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
    return api.CreateStatus(ORT_FAIL, "VirtualGradient: an unknown error.");
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
void CheckShapes(const OrtApi& api, const Shape& dy, const Shape& r, int64_t channel_axis) {
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
    Refuse(api, "r has shape " + Text(r) + ", but dY has " + Text(dy) + "; " + rule);
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

float Attribute(const OrtApi& api, const OrtKernelInfo* info, const char* name, float fallback) {
  float value = fallback;
  if (OrtStatus* absent = api.KernelInfoGetAttribute_float(info, name, &value)) {
    api.ReleaseStatus(absent);
    // An attribute of another type reads as absent. An integer is the likely one, as in rho=0, and
    // must not turn into the default unnoticed.
    int64_t integer = 0;
    OrtStatus* no_integer = api.KernelInfoGetAttribute_int64(info, name, &integer);
    if (no_integer == nullptr) {
      Refuse(api, std::string("attribute ") + name + " is the integer " + std::to_string(integer) +
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

// onnxruntime's own threads for operators.
struct SessionThreads {
  const OrtApi& api;
  const OrtKernelContext* context;

  static void ParallelFor(void* self, Task task, size_t count, void* data) {
    const auto& threads = *static_cast<const SessionThreads*>(self);
    Check(threads.api.KernelContext_ParallelFor(threads.context, task, count, 0, data));
  }
};

class Kernel {
 public:
  Kernel(const OrtApi& api, const OrtKernelInfo* info)
      : api_(api),
        attributes_{Attribute(api, info, "rho", 0.9F), Attribute(api, info, "epsilon", 1e-6F),
                    Attribute(api, info, "scale", 1.0F), 1.0F},
        channel_axis_{IntegerAttribute(api, info, "channel_axis", kNoChannelAxis)},
        per_example_{IntegerAttribute(api, info, "per_example", 0) != 0} {
    if (channel_axis_ < kNoChannelAxis || channel_axis_ == 0) {
      Refuse(api_, "attribute channel_axis is " + std::to_string(channel_axis_) +
                       ", but must be 1 or more, or absent.");
    }
    CheckAttribute("rho", attributes_.rho, attributes_.rho >= 0 && attributes_.rho < 1,
                   "at least 0 and below 1");
    CheckAttribute("epsilon", attributes_.epsilon, attributes_.epsilon > 0, "positive");
    CheckAttribute("scale", attributes_.scale, attributes_.scale > 0, "positive");
  }

  const OrtApi& api() const { return api_; }

  void Compute(OrtKernelContext* context) const {
    const OrtValue* dy = nullptr;
    const OrtValue* r = nullptr;
    Check(api_.KernelContext_GetInput(context, 0, &dy));
    Check(api_.KernelContext_GetInput(context, 1, &r));
    const Shape dy_shape = ReadShape(api_, dy);
    const Shape r_shape = ReadShape(api_, r);
    CheckShapes(api_, dy_shape, r_shape, channel_axis_);
    OrtValue* out = nullptr;
    OrtValue* r_new = nullptr;
    Check(api_.KernelContext_GetOutput(context, 0, dy_shape.data(), dy_shape.size(), &out));
    Check(api_.KernelContext_GetOutput(context, 1, r_shape.data(), r_shape.size(), &r_new));

    VirtualGradientShape shape{static_cast<size_t>(dy_shape[0]), Size(r_shape), 1};
    if (channel_axis_ != kNoChannelAxis) {
      const auto axis = dy_shape.begin() + static_cast<std::ptrdiff_t>(channel_axis_);
      shape.outer = Size({dy_shape.begin(), axis});
      shape.inner = Size({axis + 1, dy_shape.end()});
    }
    VirtualGradientAttributes attributes = attributes_;
    if (per_example_) attributes.gradient_factor = static_cast<float>(dy_shape[0]);
    SessionThreads threads{api_, context};
    VirtualGradient(Data(dy), Data(r), Data(out), Data(r_new), shape, attributes,
                    SessionThreads::ParallelFor, &threads);
  }

 private:
  void CheckAttribute(const char* name, float value, bool inside, const char* wanted) const {
    if (!std::isfinite(value) || !inside) {
      char text[32];  // std::to_string would print a small number as 0.000000
      std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
      Refuse(api_,
             std::string("attribute ") + name + " is " + text + ", but must be " + wanted + ".");
    }
  }

  float* Data(const OrtValue* value) const {
    void* data = nullptr;
    Check(api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
    return static_cast<float*>(data);
  }

  const OrtApi& api_;
  const VirtualGradientAttributes attributes_;
  const int64_t channel_axis_;
  const bool per_example_;
};

// What onnxruntime calls back.

OrtStatus* CreateKernel(const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info,
                        void** kernel) {
  return Guard(*api, [&] { *kernel = new Kernel(*api, info); });
}

// The table of functions, for the one callback that is not handed it.
struct Op : OrtCustomOp {
  const OrtApi* api;
};

// Known shapes let onnxruntime plan its memory, and so let T(dY) overwrite dY. Whether they fit is
// seen when the kernel runs: onnxruntime does not pass on what this function refuses.
OrtStatus* InferShapes(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const OrtApi& api = *static_cast<const Op*>(op)->api;
  return Guard(api, [&] {
    for (size_t i = 0; i < 2; ++i) {
      OrtTensorTypeAndShapeInfo* input = nullptr;
      Check(api.ShapeInferContext_GetInputTypeShape(context, i, &input));
      // A tensor of unknown rank looks like one of rank 0 here: nothing to infer from.
      if (ReadShape(api, input).empty()) continue;
      Check(api.ShapeInferContext_SetOutputTypeShape(context, i, input));
    }
  });
}

OrtStatus* ComputeKernel(void* kernel, OrtKernelContext* context) {
  const auto& self = *static_cast<const Kernel*>(kernel);
  return Guard(self.api(), [&] { self.Compute(context); });
}

void DestroyKernel(void* kernel) { delete static_cast<Kernel*>(kernel); }

const char* Name(const OrtCustomOp*) { return kName; }
const char* ExecutionProvider(const OrtCustomOp*) { return "CPUExecutionProvider"; }
size_t Two(const OrtCustomOp*) { return 2; }
int One(const OrtCustomOp*) { return 1; }
ONNXTensorElementDataType Float(const OrtCustomOp*, size_t) {
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
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

Op MakeOp(const OrtApi& api) {
  Op op{};
  op.api = &api;
  op.version = kOrtApiVersion;
  op.GetName = Name;
  op.GetExecutionProviderType = ExecutionProvider;
  op.GetInputType = Float;
  op.GetInputTypeCount = Two;
  op.GetOutputType = Float;
  op.GetOutputTypeCount = Two;
  op.KernelDestroy = DestroyKernel;
  op.GetInputCharacteristic = Required;
  op.GetOutputCharacteristic = Required;
  op.GetInputMemoryType = DefaultMemory;
  op.GetVariadicInputMinArity = One;
  op.GetVariadicInputHomogeneity = One;
  op.GetVariadicOutputMinArity = One;
  op.GetVariadicOutputHomogeneity = One;
  op.CreateKernelV2 = CreateKernel;
  op.KernelComputeV2 = ComputeKernel;
  op.InferOutputShapeFn = InferShapes;
  op.GetStartVersion = One;
  op.GetEndVersion = One;
  op.GetMayInplace = MayInplace;
  op.ReleaseMayInplace = FreePair;
  op.GetAliasMap = Alias;
  op.ReleaseAliasMap = FreePair;
  return op;
}

}  // namespace

const OrtCustomOp* VirtualGradientCpu(const OrtApi& api) {
  static const Op op = MakeOp(api);
  return &op;
}

}  // namespace svgd
