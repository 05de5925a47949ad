#include "virtual_gradient_op.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include "shape.h"
#include "status.h"

namespace svgd {
namespace {

constexpr int64_t kNoChannelAxis = -1;

// dY's shape without its first axis, and with the last of the others as the first of r.
Shape OfExample(const Shape& dy, bool channels_last) {
  Shape shape(dy.begin() + 1, dy.end());
  if (channels_last) std::rotate(shape.begin(), shape.end() - 1, shape.end());
  return shape;
}

// r's shape has to be that of dY without its first axis, or the size of the channel axis; axes of
// unknown size (-1) fit anything.
void CheckShapes(const Shape& dy, const Shape& r, int64_t channel_axis, bool channels_last) {
  Shape wanted;
  bool fits = !dy.empty();
  if (channel_axis != kNoChannelAxis) {
    fits = channel_axis < static_cast<int64_t>(dy.size());
    if (fits) wanted = {dy[static_cast<size_t>(channel_axis)]};
  } else if (fits) {
    fits = !channels_last || dy.size() > 1;
    if (fits) wanted = OfExample(dy, channels_last);
  }
  fits = fits && wanted.size() == r.size();
  for (size_t i = 0; fits && i < r.size(); ++i) {
    fits = wanted[i] == r[i] || wanted[i] < 0 || r[i] < 0;
  }
  if (!fits) {
    const std::string rule =
        channel_axis == kNoChannelAxis
            ? std::string("r must have the shape of dY without its first axis") +
                  (channels_last ? ", and the last before the others." : ".")
            : "r must have an entry for each of axis " + std::to_string(channel_axis) + " of dY.";
    throw Refusal("r has shape " + Text(r) + ", but dY has " + Text(dy) + "; " + rule);
  }
}

float FloatAttribute(const Attributes& attributes, const char* name, float fallback) {
  if (const auto value = attributes.Float(name)) return *value;
  // An attribute of another type reads as absent. An integer is the likely one, as in rho=0, and
  // must not turn into the default unnoticed.
  if (const auto integer = attributes.Integer(name)) {
    throw Refusal(std::string("attribute ") + name + " is the integer " + std::to_string(*integer) +
                  ", but must be a float.");
  }
  return fallback;
}

void CheckAttribute(const char* name, float value, bool inside, const char* wanted) {
  if (!std::isfinite(value) || !inside) {
    char text[32];  // std::to_string would print a small number as 0.000000
    std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
    throw Refusal(std::string("attribute ") + name + " is " + text + ", but must be " + wanted +
                  ".");
  }
}

}  // namespace

VirtualGradientOp::VirtualGradientOp(const Attributes& attributes, Form form)
    : form_(form),
      attributes_{FloatAttribute(attributes, "rho", 0.9F),
                  FloatAttribute(attributes, "epsilon", 1e-6F),
                  FloatAttribute(attributes, "scale", 1.0F), 1.0F},
      channel_axis_{attributes.Integer("channel_axis").value_or(kNoChannelAxis)},
      channels_last_{attributes.Integer("channels_last").value_or(0) != 0},
      per_example_{attributes.Integer("per_example").value_or(0) != 0} {
  if (channel_axis_ < kNoChannelAxis || channel_axis_ == 0) {
    throw Refusal("attribute channel_axis is " + std::to_string(channel_axis_) +
                  ", but must be 1 or more, or absent.");
  }
  if (channels_last_ && channel_axis_ != kNoChannelAxis) {
    throw Refusal("channels_last and channel_axis are given, but only one of them may be.");
  }
  CheckAttribute("rho", attributes_.rho, attributes_.rho >= 0 && attributes_.rho < 1,
                 "at least 0 and below 1");
  CheckAttribute("epsilon", attributes_.epsilon, attributes_.epsilon > 0, "positive");
  CheckAttribute("scale", attributes_.scale, attributes_.scale > 0, "positive");
}

void VirtualGradientOp::Run(const RunContext& context) const {
  const OrtValue* dy = context.Input(0);
  const OrtValue* r = context.Input(1);
  const Shape dy_shape = context.InputShape(0);
  const Shape r_shape = context.InputShape(1);
  CheckShapes(dy_shape, r_shape, channel_axis_, channels_last_);
  const bool scaled = form_ == Form::kVirtualGradient;
  const Shape factor_shape = channel_axis_ == kNoChannelAxis ? OfExample(dy_shape, false) : r_shape;
  void* first = context.Data(context.Output(0, scaled ? dy_shape : factor_shape));
  void* r_new = context.Data(context.Output(1, r_shape));

  void* size = context.Data(context.Output(2, {}));
  void* sums = context.Data(context.Output(3, {dy_shape.back()}));

  VirtualGradientShape shape{static_cast<size_t>(dy_shape[0]), Size(r_shape), 1};
  if (channel_axis_ != kNoChannelAxis) {
    const auto axis = dy_shape.begin() + static_cast<std::ptrdiff_t>(channel_axis_);
    shape.outer = Size({dy_shape.begin(), axis});
    shape.inner = Size({axis + 1, dy_shape.end()});
  }
  if (sums != nullptr && (shape.inner != 1 || dy_shape.size() < 2)) {
    throw Refusal("the sums of dY " + Text(dy_shape) +
                  " are asked for, but r is not of its last axis.");
  }
  VirtualGradientAttributes attributes = attributes_;
  if (per_example_) attributes.batch_factor = static_cast<float>(dy_shape[0]);
  if (channels_last_) shape.first_of_r = std::max<size_t>(1, static_cast<size_t>(r_shape[0]));
  Apply({dy, r, context.Data(dy), context.Data(r), scaled ? first : nullptr, r_new,
         scaled ? nullptr : first, size, sums, static_cast<size_t>(dy_shape.back())},
        shape, attributes, context);
}

OpDefinition VirtualGradientDefinition(
    Form form, const char* provider, ONNXTensorElementDataType element,
    std::function<std::unique_ptr<OpKernel>(const Attributes& attributes)> create) {
  const bool scaled = form == Form::kVirtualGradient;
  const ONNXTensorElementDataType number = element == ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE
                                               ? ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE
                                               : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  OpDefinition definition{scaled ? "VirtualGradient" : "GradientFactor",
                          provider,
                          {{element}, {number}},
                          {{scaled ? element : number},
                           {number},
                           {number, INPUT_OUTPUT_OPTIONAL},
                           {number, INPUT_OUTPUT_OPTIONAL}},
                          std::move(create),
                          // Known shapes let T(dY) overwrite dY.
                          [scaled, number](ShapeInference& node) {
                            if (scaled || node.Integer("channels_last").value_or(0) == 0) {
                              node.SetShapeOf(0, scaled ? 0 : 1);
                            } else if (SymbolicShape shape = node.Input(0); !shape.empty()) {
                              shape.erase(shape.begin());
                              node.SetShape(0, shape, number);
                            }
                            node.SetShapeOf(1, 1);
                          }};
  if (scaled) definition.may_inplace = PairsOf<0, 0>;
  definition.alias = PairsOf<1, 1>;
  return definition;
}

}  // namespace svgd
