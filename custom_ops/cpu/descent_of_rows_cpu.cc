#include "cpu/descent_of_rows_cpu.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "cpu/guard.h"
#include "cpu/in_pieces.h"
#include "cpu/independent.h"
#include "cpu/row_indices.h"
#include "status.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
constexpr Port kOptionalFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_OPTIONAL};
constexpr Port kInteger{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64};
// Of a task, in each row.
constexpr size_t kColumns = 128;

// Inputs a parameter (rows, ...), the rate, one number, N indices, those below 0 from the end,
// directions (N, ...), and maybe a guard, one number; output the parameter, less the rate times the
// sum of the directions of each row that an index names, which may lie where the parameter lies. It
// stays as it is where the guard is not finite. Each number is rounded as by AddRows to zeros and
// Descent; a thread has some columns of all rows, so that sums are of one order.
class DescentOfRows final : public OpKernel {
 public:
  void Run(const RunContext& context) const override {
    const Shape shape = context.InputShape(0);
    if (shape.empty()) throw Refusal("the parameter has no axes.");
    if (context.InputSize(1) != 1) throw Refusal("the rate is not one number.");
    const std::vector<size_t> rows = RowsOf(context, 2, shape[0]);
    Shape wanted = shape;
    wanted[0] = static_cast<int64_t>(rows.size());
    if (context.InputShape(3) != wanted) {
      throw Refusal("the directions have shape " + Text(context.InputShape(3)) + ", and not " +
                    Text(wanted) + ".");
    }
    const auto* parameter = context.InputData<float>(0);
    const float rate = *context.InputData<float>(1);
    const auto* directions = context.InputData<float>(3);
    const bool stays = !IsFinite(context, 4);
    auto* out = context.OutputData<float>(0, shape);
    const size_t count = Size(shape);
    CopyInPieces(context, parameter, out, count);
    if (stays || rows.empty() || count == 0) return;
    const std::vector<size_t> order = ByRow(rows);
    const size_t width = count / static_cast<size_t>(shape[0]);
    InPieces(context, width, kColumns, rows.size() * width, [&](size_t first, size_t columns) {
      std::array<float, kColumns> sum;
      for (size_t next = 0; next < order.size();) {
        const size_t row = rows[order[next]];
        std::fill_n(sum.begin(), columns, 0.0f);
        for (; next < order.size() && rows[order[next]] == row; ++next) {
          const float* direction = directions + order[next] * width + first;
          for (size_t column = 0; column < columns; ++column) sum[column] += direction[column];
        }
        const float* from = parameter + row * width + first;
        float* to = out + row * width + first;
        SVGD_INDEPENDENT
        for (size_t column = 0; column < columns; ++column) {
          to[column] = from[column] - rate * sum[column];
        }
      }
    });
  }

 private:
  // The places of indices, those of one row together and in their order.
  static std::vector<size_t> ByRow(const std::vector<size_t>& rows) {
    std::vector<size_t> order(rows.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t one, size_t other) { return rows[one] < rows[other]; });
    return order;
  }
};

}  // namespace

std::vector<OpDefinition> DescentOfRowsCpu() {
  return {{"DescentOfRows",
           "CPUExecutionProvider",
           {kFloat, kFloat, kInteger, kFloat, kOptionalFloat},
           {kFloat},
           [](const Attributes&) { return std::make_unique<DescentOfRows>(); },
           [](ShapeInference& node) { node.SetShapeOf(0, 0); }}};
}

}  // namespace svgd
