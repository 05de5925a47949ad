#include "cpu/size_sum_cpu.h"

#include "cpu/in_pieces.h"
#include "cpu/size_sum_loops.h"
#include "status.h"

namespace svgd {
namespace {

constexpr Port kFloats{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_VARIADIC};
constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
// Of a task.
constexpr size_t kNumbers = 32 * 1024;

// Inputs X_0, X_1, ..., of any shape; output their sizes' sum, a scalar: of |x|, and of x^2 for the
// last so many of them as the attribute `squares` says. It is finite only where every number is.
class SizeSum final : public OpKernel {
 public:
  explicit SizeSum(size_t squares) : squares_(squares) {}

  void Run(const RunContext& context) const override {
    const size_t inputs = context.inputs();
    if (squares_ > inputs) throw Refusal("There are fewer inputs than squares.");
    double sum = 0;
    for (size_t input = 0; input < inputs; ++input) {
      sum += Of(context, input, input + squares_ >= inputs);
    }
    *context.OutputData<float>(0, {}) = static_cast<float>(sum);
  }

 private:
  static double Of(const RunContext& context, size_t input, bool squared) {
    const auto* numbers = context.InputData<float>(input);
    const size_t count = Size(context.InputShape(input));
    const SizeSumLoops& loops = LoopsOfSizeSum(Widest());
    const auto loop = squared ? loops.squares : loops.sizes;
    std::vector<float> sums(DivideUp(count, kNumbers));
    InPieces(context, count, kNumbers, count, [&](size_t first, size_t of_piece) {
      sums[first / kNumbers] = loop(numbers + first, of_piece);
    });
    double sum = 0;
    for (const float each : sums) sum += each;
    return sum;
  }

  const size_t squares_;
};

}  // namespace

std::vector<OpDefinition> SizeSumCpu() {
  return {
      {"SizeSum",
       "CPUExecutionProvider",
       {kFloats},
       {kFloat},
       [](const Attributes& attributes) {
         const int64_t squares = attributes.Integer("squares").value_or(0);
         if (squares < 0) throw Refusal("squares has to be 0 or more.");
         return std::make_unique<SizeSum>(static_cast<size_t>(squares));
       },
       [](ShapeInference& node) { node.SetShape(0, {}, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT); }}};
}

}  // namespace svgd
