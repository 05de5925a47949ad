#include "op_kernel.h"

#include <cmath>
#include <cstdio>
#include <string>

#include "shape.h"
#include "status.h"

namespace svgd {
namespace {

[[noreturn]] void Refuse(const OrtApi& api, Form form, const std::string& sentence) {
  throw StatusError{
      api.CreateStatus(ORT_INVALID_ARGUMENT, (Name(form) + (": " + sentence)).c_str())};
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

}  // namespace

OpKernel::OpKernel(const OrtApi& api, const OrtKernelInfo* info, Form form)
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

void OpKernel::Run(OrtKernelContext* context) const {
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
  if (per_example_) attributes.batch_factor = static_cast<float>(dy_shape[0]);
  void* first = Data(out);
  Apply({dy, Data(dy), Data(r), scaled ? first : nullptr, Data(r_new), scaled ? nullptr : first},
        shape, attributes, context);
}

void OpKernel::CheckAttribute(const char* name, float value, bool inside,
                              const char* wanted) const {
  if (!std::isfinite(value) || !inside) {
    char text[32];  // std::to_string would print a small number as 0.000000
    std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
    Refuse(api_, form_,
           std::string("attribute ") + name + " is " + text + ", but must be " + wanted + ".");
  }
}

void* OpKernel::Data(const OrtValue* value) const {
  void* data = nullptr;
  Check(api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  return data;
}

}  // namespace svgd
