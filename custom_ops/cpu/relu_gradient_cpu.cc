#include "cpu/relu_gradient_cpu.h"

#include "cpu/batch_normalization_loops.h"
#include "cpu/in_pieces.h"
#include "status.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
// Of a task.
constexpr size_t kNumbers = 32 * 1024;

// Inputs dY and the Relu's output Y; output dX, dY where Y > 0 and else 0, which may lie where dY
// lies.
class ReluGradient final : public OpKernel {
 public:
  void Run(const RunContext& context) const override {
    const Shape shape = context.InputShape(0);
    if (context.InputShape(1) != shape) {
      throw Refusal("Y has shape " + Text(context.InputShape(1)) + ", but dY has " + Text(shape) +
                    ".");
    }
    const auto* dy = context.InputData<float>(0);
    const auto* y = context.InputData<float>(1);
    auto* dx = context.OutputData<float>(0, shape);
    const size_t count = Size(shape);
    const BatchNormalizationLoops& loops = LoopsOfBatchNormalization(Widest());
    InPieces(context, count, kNumbers, count, [&](size_t first, size_t of_piece) {
      loops.mask(dy + first, y + first, dx + first, of_piece);
    });
  }
};

}  // namespace

std::vector<OpDefinition> ReluGradientCpu() {
  OpDefinition definition{"ReluGradient",
                          "CPUExecutionProvider",
                          {kFloat, kFloat},
                          {kFloat},
                          [](const Attributes&) { return std::make_unique<ReluGradient>(); },
                          [](ShapeInference& node) { node.SetShapeOf(0, 0); }};
  definition.may_inplace = PairsOf<0, 0>;
  return {std::move(definition)};
}

}  // namespace svgd
