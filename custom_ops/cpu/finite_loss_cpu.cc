#include "cpu/finite_loss_cpu.h"

#include "cpu/in_pieces.h"
#include "cpu/size_sum_loops.h"
#include "status.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
constexpr Port kFloats{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_VARIADIC};
// Of a task.
constexpr size_t kNumbers = 32 * 1024;

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
    if (Size(context.InputShape(0)) != 1) throw Refusal("the loss is not one number.");
    const size_t last = inputs - factors_;
    double sum = 0, factor = factors_ == 0 ? 1 : 0;
    for (size_t input = 1; input < last; ++input) {
      sum += SizeOf(context, input, input + squares_ >= last);
    }
    for (size_t input = last; input < inputs; ++input) factor += SizeOf(context, input, true);
    const float size = static_cast<float>(sum) * static_cast<float>(factor);
    *context.OutputData<float>(0, context.InputShape(0)) =
        *context.InputData<float>(0) + 0.0f * size;
  }

 private:
  static double SizeOf(const RunContext& context, size_t input, bool squared) {
    const auto* numbers = context.InputData<float>(input);
    const size_t count = Size(context.InputShape(input));
    const SizeSumLoops& loops = LoopsOfSizeSum(Widest());
    const auto loop = squared ? loops.squares : loops.sizes;
    if (count <= kNumbers) return loop(numbers, count);
    std::vector<float> sums(DivideUp(count, kNumbers));
    InPieces(context, count, kNumbers, count, [&](size_t first, size_t of_piece) {
      sums[first / kNumbers] = loop(numbers + first, of_piece);
    });
    double sum = 0;
    for (const float each : sums) sum += each;
    return sum;
  }

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
