#include "cpu/virtual_gradient_cpu.h"

#include "cpu/session_threads.h"
#include "cpu/virtual_gradient_kernel.h"
#include "virtual_gradient_op.h"

namespace svgd {
namespace {

template <typename Element>
class CpuKernel final : public VirtualGradientOp {
 public:
  using VirtualGradientOp::VirtualGradientOp;

 private:
  void Apply(const Arrays& arrays, const VirtualGradientShape& shape,
             const VirtualGradientAttributes& attributes,
             const RunContext& context) const override {
    using Number = Compute<Element>;
    SessionThreads threads{context};
    VirtualGradient(static_cast<const Element*>(arrays.dy), static_cast<const Number*>(arrays.r),
                    static_cast<Element*>(arrays.out), static_cast<Number*>(arrays.r_new),
                    static_cast<Number*>(arrays.factors), shape, attributes,
                    SessionThreads::ParallelFor, &threads);
  }
};

}  // namespace

std::vector<OpDefinition> VirtualGradientCpu() {
  return VirtualGradientDefinitions<CpuKernel>("CPUExecutionProvider");
}

}  // namespace svgd
