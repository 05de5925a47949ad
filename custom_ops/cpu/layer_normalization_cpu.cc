#include "cpu/layer_normalization_cpu.h"

#include "cpu/layer_normalization_kernel.h"
#include "cpu/session_threads.h"
#include "status.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};

// Inputs dY and X, scale of X's axes from the first that is normalized on, the mean and 1 /
// standard deviation of each row of these; outputs dX, which may lie where dY lies, and the
// gradients of scale and shift.
class Gradient final : public OpKernel {
 public:
  void Run(const RunContext& context) const override {
    const Shape whole = context.InputShape(1);
    const Shape of_scale = context.InputShape(2);
    if (context.InputShape(0) != whole) {
      throw Refusal("dY has shape " + Text(context.InputShape(0)) + ", but X has " + Text(whole) +
                    ".");
    }
    if (of_scale.size() > whole.size() ||
        of_scale !=
            Shape(whole.end() - static_cast<std::ptrdiff_t>(of_scale.size()), whole.end())) {
      throw Refusal("the scale has shape " + Text(of_scale) +
                    ", but must have that of the last axes of X, which has " + Text(whole) + ".");
    }
    const size_t rows =
        Size({whole.begin(), whole.end() - static_cast<std::ptrdiff_t>(of_scale.size())});
    for (const size_t index : {3, 4}) {
      if (context.InputSize(index) != rows) {
        throw Refusal("input " + std::to_string(index) + " has shape " +
                      Text(context.InputShape(index)) + ", but must have a number for each of " +
                      std::to_string(rows) + " rows.");
      }
    }
    SessionThreads threads{context};
    LayerNormalizationGradient(
        {context.InputData<float>(0), context.InputData<float>(1), context.InputData<float>(2),
         context.InputData<float>(3), context.InputData<float>(4)},
        {context.OutputData<float>(0, whole), context.OutputData<float>(1, of_scale),
         context.OutputData<float>(2, of_scale)},
        rows, Size(of_scale), {SessionThreads::ParallelFor, &threads});
  }
};

}  // namespace

std::vector<OpDefinition> LayerNormalizationCpu() {
  OpDefinition gradient{"LayerNormalizationGradient",
                        "CPUExecutionProvider",
                        {kFloat, kFloat, kFloat, kFloat, kFloat},
                        {kFloat, kFloat, kFloat},
                        [](const Attributes&) { return std::make_unique<Gradient>(); },
                        [](ShapeInference& node) {
                          node.SetShapeOf(0, 1);
                          for (size_t output = 1; output < 3; ++output) node.SetShapeOf(output, 2);
                        }};
  gradient.may_inplace = PairsOf<0, 0>;
  return {std::move(gradient)};
}

}  // namespace svgd
