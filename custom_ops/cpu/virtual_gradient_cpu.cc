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
    SessionThreads session{context};
    const Threads threads{SessionThreads::ParallelFor, &session};
    // Of each column of dY, which are added up by its last axis.
    const size_t summed = arrays.sums == nullptr ? 0 : shape.channels * sizeof(Number);
    const Workspace of_columns(context.api(), context.get(), arrays.r_value, summed);
    auto* sums = static_cast<Number*>(of_columns.data());
    VirtualGradient(static_cast<const Element*>(arrays.dy), r, static_cast<Element*>(arrays.out),
                    r_new, static_cast<Number*>(arrays.factors), shape, attributes,
                    SessionThreads::ParallelFor, &session, summed == 0 ? nullptr : sums);
    if (arrays.sums != nullptr) {
      SumRows(sums, arrays.last == 0 ? 0 : shape.channels / arrays.last, arrays.last,
              static_cast<Number*>(arrays.sums));
    }
    if (arrays.size != nullptr) {
      *static_cast<Number*>(arrays.size) =
          static_cast<Number>(SizeSum(r_new, shape.channels, SizeOf::kNumbers, threads));
    }
  }
};

}  // namespace

std::vector<OpDefinition> VirtualGradientCpu() {
  return VirtualGradientDefinitions<CpuKernel>("CPUExecutionProvider");
}

}  // namespace svgd
