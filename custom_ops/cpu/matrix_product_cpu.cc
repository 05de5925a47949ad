#include "cpu/matrix_product_cpu.h"

#include <algorithm>
#include <memory>

#include "cpu/matrix_product_kernel.h"
#include "cpu/session_threads.h"
#include "status.h"
#include "workspace.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
constexpr Port kOptionalFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_OPTIONAL};

// The axis of a matrix's rows, or of its columns, where it may lie transposed.
template <typename Axes>
auto& RowsOf(Axes& axes, bool transposed) {
  return axes[axes.size() - (transposed ? 1 : 2)];
}
template <typename Axes>
auto& ColumnsOf(Axes& axes, bool transposed) {
  return RowsOf(axes, !transposed);
}

struct Factors {
  bool transposed_a, transposed_b;

  // One matrix B for all of A's rows, whatever their axes.
  bool AreOfOneB(const Shape& a, const Shape& b) const {
    return b.size() == 2 && (a.size() == 2 || !transposed_a);
  }
  bool Fit(const Shape& a, const Shape& b) const {
    if (a.size() < 2 || b.size() < 2) return false;
    if (ColumnsOf(a, transposed_a) != RowsOf(b, transposed_b)) return false;
    if (AreOfOneB(a, b)) return true;
    return a.size() == b.size() && std::equal(a.begin(), a.end() - 2, b.begin());
  }
};

Factors FactorsOf(const Attributes& attributes) {
  return {attributes.Integer("transA").value_or(0) != 0,
          attributes.Integer("transB").value_or(0) != 0};
}

// Inputs A (..., M, K), or transposed (..., K, M), B (..., K, N), or transposed (..., N, K), of the
// same leading axes, or none of B's, and perhaps a bias (N); output C (..., M, N).
class MatrixProductOp final : public OpKernel {
 public:
  explicit MatrixProductOp(const Factors& factors) : factors_(factors) {}

  void Run(const RunContext& context) const override {
    const Shape a = context.InputShape(0), b = context.InputShape(1);
    if (!factors_.Fit(a, b)) {
      throw Refusal("A has shape " + Text(a) + ", but B " + Text(b) +
                    "; these are no factors of a product.");
    }
    const int64_t columns = ColumnsOf(b, factors_.transposed_b);
    const float* bias = nullptr;
    if (context.inputs() > 2 && context.Input(2) != nullptr) {
      const Shape shape = context.InputShape(2);
      if (shape != Shape{columns}) {
        throw Refusal("the bias has shape " + Text(shape) + ", but there are " +
                      std::to_string(columns) + " columns.");
      }
      bias = context.InputData<float>(2);
    }
    Shape c{a.begin(), a.end() - 2};
    const bool of_one = factors_.AreOfOneB(a, b);
    const int64_t rows_of_one = RowsOf(a, factors_.transposed_a);
    const size_t leading = Size(c), rows = static_cast<size_t>(rows_of_one);
    c.push_back(rows_of_one);
    c.push_back(columns);
    const ProductShape shape{
        of_one ? 1 : leading,         of_one ? leading * rows : rows,
        static_cast<size_t>(columns), static_cast<size_t>(ColumnsOf(a, factors_.transposed_a)),
        factors_.transposed_a,        factors_.transposed_b};
    auto* out = context.OutputData<float>(0, c);
    SessionThreads session{context};
    const Workspace memory(context.api(), context.get(), context.Input(0),
                           MatrixProductWorkspace(shape) * sizeof(float));
    MatrixProduct(context.InputData<float>(0), context.InputData<float>(1), bias, out, shape,
                  static_cast<float*>(memory.data()), {SessionThreads::ParallelFor, &session});
  }

 private:
  const Factors factors_;
};

void InferShape(const Factors& factors, ShapeInference& node) {
  const SymbolicShape a = node.Input(0), b = node.Input(1);
  if (a.size() < 2 || b.size() < 2) return;
  SymbolicShape c{a.begin(), a.end() - 2};
  c.push_back(RowsOf(a, factors.transposed_a));
  c.push_back(ColumnsOf(b, factors.transposed_b));
  node.SetShape(0, c, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
}

// What weights' gradients were in folders that were converted before MatrixProduct was there.
constexpr Factors kTransposedProduct{true, false};

}  // namespace

std::vector<OpDefinition> MatrixProductCpu() {
  return {{"MatrixProduct",
           "CPUExecutionProvider",
           {kFloat, kFloat, kOptionalFloat},
           {kFloat},
           [](const Attributes& attributes) {
             return std::make_unique<MatrixProductOp>(FactorsOf(attributes));
           },
           [](ShapeInference& node) { InferShape(FactorsOf(node), node); }},
          {"TransposedProduct",
           "CPUExecutionProvider",
           {kFloat, kFloat},
           {kFloat},
           [](const Attributes&) { return std::make_unique<MatrixProductOp>(kTransposedProduct); },
           [](ShapeInference& node) { InferShape(kTransposedProduct, node); }}};
}

}  // namespace svgd
