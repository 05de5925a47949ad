// Memory that a kernel needs while it runs.
#pragma once

#include <cstddef>

#include "onnxruntime_abi.h"

namespace svgd {

// Memory of the session's arena, where `beside` lies. Work that is queued on a session's stream
// may use it after it has gone back: what takes it next is queued behind.
class Workspace {
 public:
  Workspace(const OrtApi& api, const OrtKernelContext* context, const OrtValue* beside,
            size_t bytes);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  void* data() const { return data_; }

 private:
  const OrtApi& api_;
  OrtAllocator* allocator_ = nullptr;
  void* data_ = nullptr;
};

}  // namespace svgd
