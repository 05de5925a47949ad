#include "cpu/virtual_gradient_cpu.h"

#include <algorithm>

#include "cpu/session_threads.h"
#include "cpu/size_sum.h"
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

// to[c] = the sum over rows of from (rows, columns); some rows at a time join the rest.
template <typename Number>
void SumRows(const Number* from, size_t rows, size_t columns, Number* to) {
  constexpr size_t kRun = 64;
  std::vector<Number> run(columns);
  std::fill(to, to + columns, Number{0});
  for (size_t row = 0; row < rows; row += kRun) {
    std::fill(run.begin(), run.end(), Number{0});
    for (size_t i = row; i < std::min(row + kRun, rows); ++i) {
      for (size_t c = 0; c < columns; ++c) run[c] += from[i * columns + c];
    }
    for (size_t c = 0; c < columns; ++c) to[c] += run[c];
  }
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
    // Of each column of dY, which are added up by its last axis.
    const size_t summed = arrays.sums == nullptr ? 0 : shape.channels * sizeof(Number);
    const Workspace of_columns(context.api(), context.get(), arrays.r_value, summed);
    auto* sums = static_cast<Number*>(of_columns.data());
    VirtualGradient(static_cast<const Element*>(arrays.dy), in_turn ? turned_r : r,
                    static_cast<Element*>(arrays.out), in_turn ? turned_r : r_new,
                    static_cast<Number*>(arrays.factors), shape, attributes,
                    SessionThreads::ParallelFor, &session, summed == 0 ? nullptr : sums);
    if (arrays.sums != nullptr) {
      SumRows(sums, arrays.last == 0 ? 0 : shape.channels / arrays.last, arrays.last,
              static_cast<Number*>(arrays.sums));
    }
    if (arrays.size != nullptr) {
      *static_cast<Number*>(arrays.size) = static_cast<Number>(
          SizeSum(in_turn ? turned_r : r_new, shape.channels, SizeOf::kNumbers, threads));
    }
    if (in_turn) Transpose(turned_r, r_new, columns, rows, threads);
  }
};

}  // namespace

std::vector<OpDefinition> VirtualGradientCpu() {
  return VirtualGradientDefinitions<CpuKernel>("CPUExecutionProvider");
}

}  // namespace svgd
