#include "cpu/cpu_ops.h"

#include "cpu/virtual_gradient_kernel.h"
#include "status.h"

namespace svgd {
namespace {

// onnxruntime's own threads for operators.
struct SessionThreads {
  const OrtApi& api;
  const OrtKernelContext* context;

  static void ParallelFor(void* self, Task task, size_t count, void* data) {
    const auto& threads = *static_cast<const SessionThreads*>(self);
    Check(threads.api.KernelContext_ParallelFor(threads.context, task, count, 0, data));
  }
};

template <typename Element>
class CpuKernel final : public OpKernel {
 public:
  using OpKernel::OpKernel;

  static OpKernel* Create(const OrtApi& api, const OrtKernelInfo* info, Form form) {
    return new CpuKernel(api, info, form);
  }

 private:
  void Apply(const Arrays& arrays, const VirtualGradientShape& shape,
             const VirtualGradientAttributes& attributes,
             OrtKernelContext* context) const override {
    using Number = Compute<Element>;
    SessionThreads threads{api(), context};
    VirtualGradient(static_cast<const Element*>(arrays.dy), static_cast<const Number*>(arrays.r),
                    static_cast<Element*>(arrays.out), static_cast<Number*>(arrays.r_new),
                    static_cast<Number*>(arrays.factors), shape, attributes,
                    SessionThreads::ParallelFor, &threads);
  }
};

}  // namespace

std::vector<Op> CpuOps(const OrtApi& api) {
  return MakeOps<CpuKernel>(api, "CPUExecutionProvider");
}

}  // namespace svgd
