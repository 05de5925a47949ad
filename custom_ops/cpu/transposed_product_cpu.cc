#include "cpu/transposed_product_cpu.h"

#include <algorithm>
#include <memory>

#include "cpu/session_threads.h"
#include "cpu/transposed_product_kernel.h"
#include "status.h"
#include "workspace.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};

// Inputs A (..., K, M) and B (..., K, N) of the same leading axes; output C (..., M, N), A's
// transpose times B.
class TransposedProductOp final : public OpKernel {
 public:
  void Run(const RunContext& context) const override {
    const Shape a = context.InputShape(0), b = context.InputShape(1);
    if (a.size() < 2 || a.size() != b.size() || !std::equal(a.begin(), a.end() - 1, b.begin())) {
      throw Refusal("A has shape " + Text(a) + ", but B " + Text(b) +
                    "; all their axes but the last must be the same, and at least one.");
    }
    Shape c = b;
    c[c.size() - 2] = a.back();
    const ProductShape shape{Size({a.begin(), a.end() - 2}), static_cast<size_t>(a.back()),
                             static_cast<size_t>(b.back()), static_cast<size_t>(a[a.size() - 2])};
    auto* out = context.OutputData<float>(0, c);
    SessionThreads session{context};
    const Workspace memory(context.api(), context.get(), context.Input(0),
                           TransposedProductWorkspace(shape) * sizeof(float));
    TransposedProduct(context.InputData<float>(0), context.InputData<float>(1), out, shape,
                      static_cast<float*>(memory.data()), {SessionThreads::ParallelFor, &session});
  }
};

void InferShape(ShapeInference& node) {
  const SymbolicShape a = node.Input(0);
  SymbolicShape c = node.Input(1);
  if (c.size() < 2 || a.size() != c.size()) return;
  c[c.size() - 2] = a.back();
  node.SetShape(0, c, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
}

}  // namespace

std::vector<OpDefinition> TransposedProductCpu() {
  return {{"TransposedProduct",
           "CPUExecutionProvider",
           {kFloat, kFloat},
           {kFloat},
           [](const Attributes&) { return std::make_unique<TransposedProductOp>(); },
           InferShape}};
}

}  // namespace svgd
