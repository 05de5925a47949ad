#include "cpu/virtual_gradient_cpu.h"

#include <algorithm>

#include "cpu/session_threads.h"
#include "cpu/tasks.h"
#include "cpu/virtual_gradient_kernel.h"
#include "virtual_gradient_op.h"
#include "workspace.h"

namespace svgd {
namespace {

// out (columns, rows) = the transpose of in (rows, columns).
template <typename Number>
void Transpose(const Number* in, Number* out, size_t rows, size_t columns, const Threads& threads) {
  constexpr size_t kTile = 16;
  threads.ForEach(DivideUp(rows, kTile), rows * columns, [&](size_t tile) {
    const size_t first = tile * kTile;
    const size_t count = std::min(kTile, rows - first);
    for (size_t column = 0; column < columns; ++column) {
      const Number* from = in + first * columns + column;
      Number* to = out + column * rows + first;
      for (size_t i = 0; i < count; ++i) to[i] = from[i * columns];
    }
  });
}

template <typename Element>
class CpuKernel final : public VirtualGradientOp {
 public:
  using VirtualGradientOp::VirtualGradientOp;

 private:
  void Apply(const Arrays& arrays, const VirtualGradientShape& shape,
             const VirtualGradientAttributes& attributes,
             const RunContext& context) const override {
    using Number = Compute<Element>;
    const auto* r = static_cast<const Number*>(arrays.r);
    auto* r_new = static_cast<Number*>(arrays.r_new);
    const size_t rows = arrays.first_of_r;
    const size_t columns = rows == 0 ? 0 : shape.channels / rows;
    const bool in_turn = rows > 1 && columns > 1;
    const size_t bytes = in_turn ? shape.channels * sizeof(Number) : 0;
    const Workspace turned(context.api(), context.get(), arrays.r_value, bytes);
    auto* turned_r = static_cast<Number*>(turned.data());
    SessionThreads session{context};
    const Threads threads{SessionThreads::ParallelFor, &session};
    if (in_turn) Transpose(r, turned_r, rows, columns, threads);
    VirtualGradient(static_cast<const Element*>(arrays.dy), in_turn ? turned_r : r,
                    static_cast<Element*>(arrays.out), in_turn ? turned_r : r_new,
                    static_cast<Number*>(arrays.factors), shape, attributes,
                    SessionThreads::ParallelFor, &session);
    if (in_turn) Transpose(turned_r, r_new, columns, rows, threads);
  }
};

}  // namespace

std::vector<OpDefinition> VirtualGradientCpu() {
  return VirtualGradientDefinitions<CpuKernel>("CPUExecutionProvider");
}

}  // namespace svgd
