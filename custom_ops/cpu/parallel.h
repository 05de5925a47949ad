// How kernels ask for threads. Nothing here knows of onnxruntime.
#pragma once

#include <cstddef>

namespace svgd {

// Runs task(data, 0) ... task(data, count - 1), in any order and on any threads.
using Task = void (*)(void* data, size_t index);
using ParallelFor = void (*)(void* context, Task task, size_t count, void* data);

}  // namespace svgd
