#include "cpu/add_rows_cpu.h"

#include "cpu/in_pieces.h"
#include "cpu/row_indices.h"
#include "status.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
constexpr Port kInteger{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64};
// Of a task, in each row: a row's next part is fetched while one is added.
constexpr size_t kColumns = 128;

// Inputs X (rows, ...), indices, of any shape, those below 0 from the end, and updates (indices'
// shape, ...); output X, with each update added to the row that its index names, which may lie
// where X lies. A thread has some columns of all rows, so that each row's updates are added in
// their order on any number of threads.
class AddRows final : public OpKernel {
 public:
  void Run(const RunContext& context) const override {
    const Shape shape = context.InputShape(0);
    if (shape.empty()) throw Refusal("X has no axes.");
    Shape updated = context.InputShape(1);
    updated.insert(updated.end(), shape.begin() + 1, shape.end());
    if (context.InputShape(2) != updated) {
      throw Refusal("the updates have shape " + Text(context.InputShape(2)) + ", and not " +
                    Text(updated) + ".");
    }
    const std::vector<size_t> rows = RowsOf(context, 1, shape[0]);
    const auto* x = context.InputData<float>(0);
    const auto* updates = context.InputData<float>(2);
    auto* out = context.OutputData<float>(0, shape);
    const size_t count = Size(shape);
    CopyInPieces(context, x, out, count);
    if (rows.empty() || count == 0) return;
    const size_t width = count / static_cast<size_t>(shape[0]);
    InPieces(context, width, kColumns, rows.size() * width, [&](size_t first, size_t columns) {
      for (size_t index = 0; index < rows.size(); ++index) {
        float* to = out + rows[index] * width + first;
        const float* from = updates + index * width + first;
        for (size_t column = 0; column < columns; ++column) to[column] += from[column];
      }
    });
  }
};

}  // namespace

std::vector<OpDefinition> AddRowsCpu() {
  OpDefinition definition{"AddRows",
                          "CPUExecutionProvider",
                          {kFloat, kInteger, kFloat},
                          {kFloat},
                          [](const Attributes&) { return std::make_unique<AddRows>(); },
                          [](ShapeInference& node) { node.SetShapeOf(0, 0); }};
  definition.may_inplace = PairsOf<0, 0>;
  return {std::move(definition)};
}

}  // namespace svgd
