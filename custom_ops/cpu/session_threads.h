// onnxruntime's own threads for operators, as kernels ask for threads.
#pragma once

#include <cstddef>

#include "cpu/parallel.h"
#include "op_kernel.h"
#include "status.h"

namespace svgd {

struct SessionThreads {
  const RunContext& run;

  static void ParallelFor(void* self, Task task, size_t count, void* data) {
    const RunContext& run = static_cast<const SessionThreads*>(self)->run;
    Check(run.api().KernelContext_ParallelFor(run.get(), task, count, 0, data));
  }
};

}  // namespace svgd
