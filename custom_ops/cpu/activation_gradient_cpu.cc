#include "cpu/activation_gradient_cpu.h"

#include "cpu/activation_gradient_loops.h"
#include "cpu/in_pieces.h"
#include "status.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
// Of a task.
constexpr size_t kNumbers = 8 * 1024;
// Additions or so that a number takes.
constexpr size_t kWork = 16;

// Inputs dY and X of one shape; output dX, which may lie where dY lies: body(dy, x, dx, count).
template <typename Body>
void ElementByElement(const RunContext& context, const Body& body) {
  const Shape shape = context.InputShape(0);
  if (context.InputShape(1) != shape) {
    throw Refusal("X has shape " + Text(context.InputShape(1)) + ", but dY has " + Text(shape) +
                  ".");
  }
  const auto* dy = context.InputData<float>(0);
  const auto* x = context.InputData<float>(1);
  auto* dx = context.OutputData<float>(0, shape);
  const size_t count = Size(shape);
  InPieces(context, count, kNumbers, count * kWork, [&](size_t first, size_t of_piece) {
    body(dy + first, x + first, dx + first, of_piece);
  });
}

class GeluGradient final : public OpKernel {
 public:
  void Run(const RunContext& context) const override {
    ElementByElement(context, LoopsOfActivationGradient(Widest()).gelu);
  }
};

// Of x times the logistic function at x (linear + cubic x^2); attributes linear and cubic.
class LogisticUnitGradient final : public OpKernel {
 public:
  explicit LogisticUnitGradient(const Attributes& attributes)
      : linear_(attributes.Float("linear").value_or(1)),
        cubic_(attributes.Float("cubic").value_or(0)) {}

  void Run(const RunContext& context) const override {
    const ActivationGradientLoops& loops = LoopsOfActivationGradient(Widest());
    ElementByElement(context, [&](const float* dy, const float* x, float* dx, size_t count) {
      loops.logistic(dy, x, dx, count, linear_, cubic_);
    });
  }

 private:
  const float linear_, cubic_;
};

template <typename Create>
OpDefinition Definition(const char* name, Create create) {
  OpDefinition definition{
      name, "CPUExecutionProvider", {kFloat, kFloat}, {kFloat}, create, [](ShapeInference& node) {
        node.SetShapeOf(0, 0);
      }};
  definition.may_inplace = PairsOf<0, 0>;
  return definition;
}

}  // namespace

std::vector<OpDefinition> ActivationGradientCpu() {
  return {Definition("GeluGradient",
                     [](const Attributes&) { return std::make_unique<GeluGradient>(); }),
          Definition("LogisticUnitGradient", [](const Attributes& attributes) {
            return std::make_unique<LogisticUnitGradient>(attributes);
          })};
}

}  // namespace svgd
