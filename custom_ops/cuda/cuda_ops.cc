#include "cuda/cuda_ops.h"

#include <string>

#include "cuda/virtual_gradient_kernel.h"
#include "status.h"

namespace svgd {
namespace {

// Memory of the session's arena, where `beside` lies. Work that is queued on the session's stream
// may use it after it has gone back: what takes it next is queued behind.
class Workspace {
 public:
  Workspace(const OrtApi& api, const OrtKernelContext* context, const OrtValue* beside,
            size_t bytes)
      : api_(api) {
    if (bytes == 0) return;
    const OrtMemoryInfo* place = nullptr;
    Check(api_.GetTensorMemoryInfo(beside, &place));
    Check(api_.KernelContext_GetAllocator(context, place, &allocator_));
    if (OrtStatus* status = api_.AllocatorAlloc(allocator_, bytes, &data_)) {
      api_.ReleaseAllocator(allocator_);
      throw StatusError{status};
    }
  }
  ~Workspace() {
    if (allocator_ == nullptr) return;
    if (OrtStatus* status = api_.AllocatorFree(allocator_, data_)) api_.ReleaseStatus(status);
    api_.ReleaseAllocator(allocator_);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  void* data() const { return data_; }

 private:
  const OrtApi& api_;
  OrtAllocator* allocator_ = nullptr;
  void* data_ = nullptr;
};

template <typename Element>
class CudaKernel final : public OpKernel {
 public:
  using OpKernel::OpKernel;

  static OpKernel* Create(const OrtApi& api, const OrtKernelInfo* info, Form form) {
    return new CudaKernel(api, info, form);
  }

 private:
  void Apply(const Arrays& arrays, const VirtualGradientShape& shape,
             const VirtualGradientAttributes& attributes,
             OrtKernelContext* context) const override {
    using Number = Compute<Element>;
    void* stream = nullptr;
    Check(api().KernelContext_GetGPUComputeStream(context, &stream));
    const Workspace workspace(api(), context, arrays.dy_value, WorkspaceBytes<Element>(shape));
    const cudaError_t error = VirtualGradientCuda(
        static_cast<const Element*>(arrays.dy), static_cast<const Number*>(arrays.r),
        static_cast<Element*>(arrays.out), static_cast<Number*>(arrays.r_new),
        static_cast<Number*>(arrays.factors), shape, attributes, workspace.data(),
        static_cast<cudaStream_t>(stream));
    if (error != cudaSuccess) {
      const std::string sentence =
          std::string("ai.svgd: CUDA refused a kernel: ") + cudaGetErrorString(error) + ".";
      throw StatusError{api().CreateStatus(ORT_FAIL, sentence.c_str())};
    }
  }
};

}  // namespace

std::vector<Op> CudaOps(const OrtApi& api) {
  return MakeOps<CudaKernel>(api, "CUDAExecutionProvider");
}

}  // namespace svgd
