#include "cpu/descent_cpu.h"

#include <algorithm>

#include "cpu/guard.h"
#include "cpu/in_pieces.h"
#include "cpu/independent.h"
#include "cpu/size_of_pieces.h"
#include "status.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
constexpr Port kOptionalFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_OPTIONAL};
// Of a task, and of what stays in the first cache from one pass over it to the next.
constexpr size_t kNumbers = 64 * 1024, kPart = 2 * 1024;

// Inputs a parameter, the rate, one number, a direction of the parameter's shape, and maybe a
// guard, one number; output the parameter - rate * direction, which may lie where the direction or
// the parameter lies, and, where somebody asks for it, the direction's size, the sum of |x|, which
// FiniteLoss then need not read the direction for. The parameter is rounded as by two operators;
// it stays as it is where the guard is not finite.
class Descent final : public OpKernel {
 public:
  void Run(const RunContext& context) const override {
    const Shape shape = context.InputShape(0);
    if (context.InputSize(1) != 1) throw Refusal("the rate is not one number.");
    if (context.InputShape(2) != shape) {
      throw Refusal("the direction has shape " + Text(context.InputShape(2)) +
                    ", but the parameter has " + Text(shape) + ".");
    }
    const auto* parameter = context.InputData<float>(0);
    const float rate = *context.InputData<float>(1);
    const auto* direction = context.InputData<float>(2);
    auto* out = context.OutputData<float>(0, shape);
    const size_t count = Size(shape);
    auto* size = context.OutputData<float>(1, {});
    const bool stays = !IsFinite(context, 3);
    SizeOfPieces sizes(count, kNumbers);
    InPieces(context, count, kNumbers, count, [&](size_t first, size_t of_piece) {
      for (size_t part = first; part < first + of_piece; part += kPart) {
        const size_t last = std::min(part + kPart, first + of_piece);
        // before it is written over
        if (size != nullptr) sizes.Add(direction, part, last - part);
        if (stays) {
          if (out != parameter) std::copy(parameter + part, parameter + last, out + part);
          continue;
        }
        SVGD_INDEPENDENT
        for (size_t i = part; i < last; ++i) out[i] = parameter[i] - rate * direction[i];
      }
    });
    if (size != nullptr) *size = sizes.Total();
  }
};

}  // namespace

std::vector<OpDefinition> DescentCpu() {
  OpDefinition definition{"Descent",
                          "CPUExecutionProvider",
                          {kFloat, kFloat, kFloat, kOptionalFloat},
                          {kFloat, kOptionalFloat},
                          [](const Attributes&) { return std::make_unique<Descent>(); },
                          [](ShapeInference& node) { node.SetShapeOf(0, 0); }};
  definition.may_inplace = PairsOf<2, 0>;
  return {std::move(definition)};
}

}  // namespace svgd
