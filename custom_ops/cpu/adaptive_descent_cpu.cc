#include "cpu/adaptive_descent_cpu.h"

#include <algorithm>
#include <cmath>

#include "cpu/adaptive_descent_loops.h"
#include "cpu/guard.h"
#include "cpu/in_pieces.h"
#include "cpu/size_of_pieces.h"
#include "status.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
constexpr Port kOptionalFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_OPTIONAL};
// Of a task.
constexpr size_t kNumbers = 16 * 1024;

// Inputs a parameter, the rate, one number, the gradient and its second moments, of the parameter's
// shape, and where there is a beta_1 first moments, of that shape, and the number of the step,
// from 1; last, maybe, a guard, one number. Outputs the parameter, which may lie where the gradient
// lies, the gradient's size, the sum of x^2, the second and the first moments; each may lie where
// it was, and stays as it was where the guard is not finite:
//   m' = beta_1 m + rest_1 g             v' = beta_2 v + rest_2 g^2
//   M = m' / (1 - beta_1^step)           V = v' / (1 - beta_2^step)
//   w' = w - rate (M / (sqrt(V) + stability) + weight_decay w)
// Without first moments M is g, and V is v'. So are AdamW and RMSProp.
class AdaptiveDescent final : public OpKernel {
 public:
  explicit AdaptiveDescent(const Attributes& attributes)
      : has_first_(attributes.Float("beta_1").has_value()),
        step_{{attributes.Float("beta_1").value_or(0), attributes.Float("rest_1").value_or(1)},
              {attributes.Float("beta_2").value_or(0), attributes.Float("rest_2").value_or(1)},
              attributes.Float("stability").value_or(0),
              attributes.Float("weight_decay").value_or(0)} {}

  void Run(const RunContext& context) const override {
    const Shape shape = context.InputShape(0);
    const bool has_first = has_first_;
    const bool stays = !IsFinite(context, has_first ? 6 : 4);
    AdaptiveStep step = step_;
    step.rate = Number(context, 1, "rate");
    SameShape(context, 2, shape, "gradient");
    SameShape(context, 3, shape, "second moment");
    if (has_first) {
      SameShape(context, 4, shape, "first moment");
      if (context.inputs() < 6 || context.Input(4) == nullptr)
        throw Refusal("there are no first moments, or no number of the step.");
      const float number = Number(context, 5, "number of the step");
      step.first.correction = 1 - std::pow(step.first.beta, number);
      step.second.correction = 1 - std::pow(step.second.beta, number);
    }
    AdaptiveNumbers x{};
    x.parameter = context.InputData<float>(0);
    x.gradient = context.InputData<float>(2);
    x.second = context.InputData<float>(3);
    x.new_parameter = context.OutputData<float>(0, shape);
    auto* size = context.OutputData<float>(1, {});
    x.new_second = context.OutputData<float>(2, shape);
    if (has_first) {
      x.first = context.InputData<float>(4);
      x.new_first = context.OutputData<float>(3, shape);
    }
    const size_t count = Size(shape);
    if (has_first && count > 0 && x.new_first == nullptr) {
      throw Refusal("nobody takes the first moments.");
    }
    const auto descend = LoopsOfAdaptiveDescent(Widest()).descend;
    SizeOfPieces sizes(count, kNumbers, SizeOf::kSquares);
    InPieces(context, count, kNumbers, 8 * count, [&](size_t first, size_t of_piece) {
      // before it is written over
      sizes.Add(x.gradient, first, of_piece);
      if (stays) {
        Keep(x.parameter, x.new_parameter, first, of_piece);
        Keep(x.second, x.new_second, first, of_piece);
        if (has_first) Keep(x.first, x.new_first, first, of_piece);
      } else {
        descend(step, x, first, first + of_piece);
      }
    });
    if (size != nullptr) *size = sizes.Total();
  }

 private:
  static void Keep(const float* before, float* after, size_t first, size_t count) {
    if (before != after) std::copy_n(before + first, count, after + first);
  }

  static float Number(const RunContext& context, size_t input, const char* what) {
    if (context.Input(input) == nullptr || context.InputSize(input) != 1) {
      throw Refusal(std::string("the ") + what + " is not one number.");
    }
    return *context.InputData<float>(input);
  }

  static void SameShape(const RunContext& context, size_t input, const Shape& shape,
                        const char* what) {
    if (context.InputShape(input) != shape) {
      throw Refusal(std::string("the ") + what + " has shape " + Text(context.InputShape(input)) +
                    ", but the parameter has " + Text(shape) + ".");
    }
  }

  const bool has_first_;
  const AdaptiveStep step_;
};

}  // namespace

std::vector<OpDefinition> AdaptiveDescentCpu() {
  OpDefinition definition{
      "AdaptiveDescent",
      "CPUExecutionProvider",
      {kFloat, kFloat, kFloat, kFloat, kOptionalFloat, kOptionalFloat, kOptionalFloat},
      {kFloat, kFloat, kFloat, kOptionalFloat},
      [](const Attributes& attributes) { return std::make_unique<AdaptiveDescent>(attributes); },
      [](ShapeInference& node) {
        node.SetShapeOf(0, 0);
        node.SetShapeOf(2, 0);
      }};
  definition.may_inplace = PairsOf<2, 0>;
  return {std::move(definition)};
}

}  // namespace svgd
