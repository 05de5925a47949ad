#include "workspace.h"

#include "status.h"

namespace svgd {

Workspace::Workspace(const OrtApi& api, const OrtKernelContext* context, const OrtValue* beside,
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

Workspace::~Workspace() {
  if (allocator_ == nullptr) return;
  if (OrtStatus* status = api_.AllocatorFree(allocator_, data_)) api_.ReleaseStatus(status);
  api_.ReleaseAllocator(allocator_);
}

}  // namespace svgd
