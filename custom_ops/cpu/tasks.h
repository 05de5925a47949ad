// Tasks of a kernel on the threads that it was given.
#pragma once

#include <atomic>
#include <cstddef>
#include <new>

#include "cpu/parallel.h"

namespace svgd {

constexpr size_t kSmallWork = 64 * 1024;

struct Threads {
  ParallelFor parallel_for;
  void* context;

  // Calls body(index) for each index below `count`; here, where all together are so small a `work`
  // (in additions or so) that waking a thread costs more. What a task throws cannot leave through
  // its thread: memory that was not there is said afterwards, as bad_alloc.
  template <typename Body>
  void ForEach(size_t count, size_t work, const Body& body) const {
    struct Run {
      const Body& body;
      std::atomic<bool> failed{false};
    } run{body};
    const Task task = [](void* data, size_t index) {
      Run& shared = *static_cast<Run*>(data);
      try {
        shared.body(index);
      } catch (...) {
        shared.failed = true;
      }
    };
    if (count == 1 || work < kSmallWork) {
      for (size_t index = 0; index < count; ++index) task(&run, index);
    } else {
      parallel_for(context, task, count, &run);
    }
    if (run.failed) throw std::bad_alloc();
  }
};

inline size_t DivideUp(size_t a, size_t b) { return (a + b - 1) / b; }
inline size_t RoundUp(size_t number, size_t unit) { return DivideUp(number, unit) * unit; }

}  // namespace svgd
