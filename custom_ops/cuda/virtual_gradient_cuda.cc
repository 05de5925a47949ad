#include "cuda/virtual_gradient_cuda.h"

#include <string>

#include "cuda/virtual_gradient_kernel.h"
#include "status.h"
#include "virtual_gradient_op.h"
#include "workspace.h"

namespace svgd {
namespace {

template <typename Element>
class CudaKernel final : public VirtualGradientOp {
 public:
  using VirtualGradientOp::VirtualGradientOp;

 private:
  void Apply(const Arrays& arrays, const VirtualGradientShape& shape,
             const VirtualGradientAttributes& attributes,
             const RunContext& context) const override {
    using Number = Compute<Element>;
    if (shape.first_of_r != 1) throw Refusal("attribute channels_last is of the processor alone.");
    if (arrays.size != nullptr || arrays.sums != nullptr) {
      throw Refusal("the size of r and sums of dY are outputs of the processor alone.");
    }
    void* stream = nullptr;
    const OrtApi& api = context.api();
    Check(api.KernelContext_GetGPUComputeStream(context.get(), &stream));
    const Workspace workspace(api, context.get(), arrays.dy_value, WorkspaceBytes<Element>(shape));
    const cudaError_t error = VirtualGradientCuda(
        static_cast<const Element*>(arrays.dy), static_cast<const Number*>(arrays.r),
        static_cast<Element*>(arrays.out), static_cast<Number*>(arrays.r_new),
        static_cast<Number*>(arrays.factors), shape, attributes, workspace.data(),
        static_cast<cudaStream_t>(stream));
    if (error != cudaSuccess) {
      const std::string sentence =
          std::string("ai.svgd: CUDA refused a kernel: ") + cudaGetErrorString(error) + ".";
      throw StatusError{api.CreateStatus(ORT_FAIL, sentence.c_str())};
    }
  }
};

}  // namespace

std::vector<OpDefinition> VirtualGradientCuda() {
  return VirtualGradientDefinitions<CudaKernel>("CUDAExecutionProvider");
}

}  // namespace svgd
