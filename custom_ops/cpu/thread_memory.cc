#include "cpu/thread_memory.h"

#include <cstdint>
#include <memory>

namespace svgd {

void* ThreadMemory(size_t bytes) {
  static thread_local std::unique_ptr<char[]> memory;
  static thread_local size_t size = 0;
  if (size < bytes) {
    memory.reset();
    size = 0;
    memory.reset(new char[bytes + kCacheLine]);
    size = bytes;
  }
  const auto place = reinterpret_cast<std::uintptr_t>(memory.get());
  return memory.get() + (kCacheLine - place % kCacheLine) % kCacheLine;
}

}  // namespace svgd
