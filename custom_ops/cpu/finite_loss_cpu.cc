#include "cpu/finite_loss_cpu.h"

#include "cpu/session_threads.h"
#include "cpu/size_sum.h"
#include "status.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
constexpr Port kFloats{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_VARIADIC};

// Inputs a loss, one number, and X_0, X_1, ..., of any shape; output the loss, and NaN where their
// size is not finite: the sum of |x|, and of x^2 for those before the last, so many as the
// attribute `squares` says, times the sum of x^2 for the last, so many as `factors` says. It is
// finite only where every number is.
class FiniteLoss final : public OpKernel {
 public:
  FiniteLoss(size_t squares, size_t factors) : squares_(squares), factors_(factors) {}

  void Run(const RunContext& context) const override {
    const size_t inputs = context.inputs();
    if (squares_ + factors_ >= inputs) {
      throw Refusal("There are fewer inputs than squares and factors.");
    }
    if (context.InputSize(0) != 1) throw Refusal("the loss is not one number.");
    const size_t last = inputs - factors_;
    SessionThreads session{context};
    const Threads threads{SessionThreads::ParallelFor, &session};
    const auto size_of = [&](size_t input, SizeOf what) {
      return SizeSum(context.InputData<float>(input), context.InputSize(input), what, threads);
    };
    double sum = 0, factor = factors_ == 0 ? 1 : 0;
    for (size_t input = 1; input < last; ++input) {
      sum += size_of(input, input + squares_ >= last ? SizeOf::kSquares : SizeOf::kNumbers);
    }
    for (size_t input = last; input < inputs; ++input) factor += size_of(input, SizeOf::kSquares);
    const float size = static_cast<float>(sum) * static_cast<float>(factor);
    *context.OutputData<float>(0, context.InputShape(0)) =
        *context.InputData<float>(0) + 0.0f * size;
  }

 private:
  const size_t squares_;
  const size_t factors_;
};

size_t Count(const Attributes& attributes, const char* name) {
  const int64_t count = attributes.Integer(name).value_or(0);
  if (count < 0) throw Refusal(std::string(name) + " has to be 0 or more.");
  return static_cast<size_t>(count);
}

}  // namespace

std::vector<OpDefinition> FiniteLossCpu() {
  return {{"FiniteLoss",
           "CPUExecutionProvider",
           {kFloat, kFloats},
           {kFloat},
           [](const Attributes& attributes) {
             return std::make_unique<FiniteLoss>(Count(attributes, "squares"),
                                                 Count(attributes, "factors"));
           },
           [](ShapeInference& node) { node.SetShapeOf(0, 0); }}};
}

}  // namespace svgd
