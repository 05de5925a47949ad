// The size of an array, a sum of |x| or x^2, that is read a piece at a time by any thread.
#pragma once

#include <cstddef>
#include <vector>

#include "cpu/size_sum.h"
#include "cpu/tasks.h"

namespace svgd {

// Its additions are in the order of pieces, whichever thread comes first.
class SizeOfPieces {
 public:
  SizeOfPieces(size_t numbers, size_t piece, SizeOf what = SizeOf::kNumbers)
      : piece_(piece), loop_(SizeLoop(what)), sizes_(DivideUp(numbers, piece)) {}

  // A piece may come in parts, one after the other.
  void Add(const float* numbers, size_t first, size_t count) {
    sizes_[first / piece_] += loop_(numbers + first, count);
  }

  float Total() const {
    double sum = 0;
    for (const float each : sizes_) sum += each;
    return static_cast<float>(sum);
  }

 private:
  const size_t piece_;
  float (*const loop_)(const float* x, size_t count);
  std::vector<float> sizes_;
};

}  // namespace svgd
