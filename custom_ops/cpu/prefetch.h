// Asks for memory that is read or written soon, so that it comes while something is computed.
#pragma once

#include <algorithm>
#include <cstddef>

namespace svgd {

constexpr size_t kLineNumbers = 16;  // floats

// Where a processor knows no such instruction, nothing happens; places need not exist.
inline void PrefetchToRead(const float* at) {
#if defined(__GNUC__)
  __builtin_prefetch(at, 0, 2);
#else
  static_cast<void>(at);
#endif
}

inline void PrefetchToWrite(const float* at) {
#if defined(__GNUC__)
  __builtin_prefetch(at, 1, 3);
#else
  static_cast<void>(at);
#endif
}

// Numbers that lie in rows, asked for some lines at a time.
class Prefetch {
 public:
  Prefetch() = default;
  Prefetch(const float* from, size_t rows, size_t pitch, size_t numbers) : at_(from), rows_(rows) {
    if (numbers == pitch) numbers *= rows, pitch = numbers, rows_ = 1;
    pitch_ = pitch, numbers_ = numbers;
  }

  size_t lines() const { return rows_ * ((numbers_ + kLineNumbers - 1) / kLineNumbers); }

  // The next lines; what is left of them when nothing is left here.
  size_t Some(size_t lines) {
    for (; lines > 0 && rows_ > 0; --lines) {
      PrefetchToRead(at_ + done_);
      done_ += kLineNumbers;
      if (done_ >= numbers_) done_ = 0, at_ += pitch_, --rows_;
    }
    return lines;
  }

 private:
  const float* at_ = nullptr;
  size_t rows_ = 0, pitch_ = 0, numbers_ = 0, done_ = 0;
};

}  // namespace svgd
