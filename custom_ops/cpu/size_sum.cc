#include "cpu/size_sum.h"

#include <algorithm>
#include <vector>

#include "cpu/size_sum_loops.h"

namespace svgd {

float (*SizeLoop(SizeOf what))(const float* x, size_t count) {
  const SizeSumLoops& loops = LoopsOfSizeSum(Widest());
  return what == SizeOf::kSquares ? loops.squares : loops.sizes;
}

double SizeSum(const float* numbers, size_t count, SizeOf what, const Threads& threads) {
  constexpr size_t kPiece = 32 * 1024;  // of a task
  const auto loop = SizeLoop(what);
  if (count <= kPiece) return loop(numbers, count);
  std::vector<float> sums(DivideUp(count, kPiece));
  threads.ForEach(sums.size(), count, [&](size_t piece) {
    const size_t first = piece * kPiece;
    sums[piece] = loop(numbers + first, std::min(kPiece, count - first));
  });
  double sum = 0;
  for (const float each : sums) sum += each;
  return sum;
}

}  // namespace svgd
