// Memory that tasks of kernels work in, one piece for each thread, which stays for the next task.
#pragma once

#include <cstddef>

namespace svgd {

// At least so many bytes, aligned to a cache line, until the thread's next call. Throws bad_alloc.
void* ThreadMemory(size_t bytes);

constexpr size_t kCacheLine = 64;

inline size_t CacheLines(size_t bytes) {
  return (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
}

// Cuts such a piece into arrays: first asked for their sizes, then for their places.
class Cut {
 public:
  template <typename Type>
  size_t Array(size_t count) {
    const size_t place = bytes_;
    bytes_ += CacheLines(count * sizeof(Type));
    return place;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

}  // namespace svgd
