// Work on numbers, each by itself, on onnxruntime's threads.
#pragma once

#include <algorithm>
#include <cstddef>

#include "cpu/session_threads.h"
#include "cpu/tasks.h"

namespace svgd {

// Calls body(first, count) for each piece of so many numbers; all are `work` additions or so.
template <typename Body>
void InPieces(const RunContext& context, size_t numbers, size_t piece, size_t work,
              const Body& body) {
  SessionThreads session{context};
  const Threads threads{SessionThreads::ParallelFor, &session};
  threads.ForEach(DivideUp(numbers, piece), work, [&](size_t task) {
    const size_t first = task * piece;
    body(first, std::min(piece, numbers - first));
  });
}

// Copies numbers, unless they lie there already.
inline void CopyInPieces(const RunContext& context, const float* from, float* to, size_t count) {
  constexpr size_t kCopied = 64 * 1024;
  if (from == to) return;
  InPieces(context, count, kCopied, count,
           [&](size_t first, size_t of_piece) { std::copy_n(from + first, of_piece, to + first); });
}

}  // namespace svgd
