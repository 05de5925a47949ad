// What kernels are given for threads in tests.
#pragma once

#include <cstddef>
#include <thread>
#include <vector>

#include "cpu/parallel.h"

namespace svgd::tests {

inline void InOrder(void*, Task task, size_t count, void* data) {
  for (size_t i = 0; i < count; ++i) task(data, i);
}

inline void InReverse(void*, Task task, size_t count, void* data) {
  for (size_t i = count; i > 0; --i) task(data, i - 1);
}

// On a number of threads, which `context` points to, each taking every so-many-th index.
inline void OnThreads(void* context, Task task, size_t count, void* data) {
  const size_t threads = *static_cast<size_t*>(context);
  std::vector<std::thread> pool;
  for (size_t first = 0; first < threads; ++first) {
    pool.emplace_back([=] {
      for (size_t index = first; index < count; index += threads) task(data, index);
    });
  }
  for (std::thread& thread : pool) thread.join();
}

}  // namespace svgd::tests
