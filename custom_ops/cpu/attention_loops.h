// The innermost loops of attention, but for its products. attention_loops.cc is compiled once for
// each instruction set that a processor may have.
#pragma once

#include <cstddef>

#include "cpu/instruction_set.h"

namespace svgd {

// Queries of a block, at most.
constexpr size_t kMostQueries = 64;

// A block of scores, by keys and then by queries: softmax goes down its columns, several side by
// side.
struct AttentionScores {
  float* at;  // (keys, pitch), of which a row's first `queries` count
  size_t keys, queries, pitch;
  float scale;           // what they are multiplied by first
  const float* of_keys;  // (keys), added to all queries; null for none
  const float* of_each;  // as `at`, added; null for none
};

struct AttentionLoops {
  // Makes probabilities of scores: e^(score - greatest) inverse, for the greatest of a query's and
  // 1 / the sum of these powers. With nan_as_zero those of a query of which that is NaN are 0, as
  // is its inverse, which it never is otherwise.
  void (*softmax)(const AttentionScores& scores, bool nan_as_zero, float* greatest, float* inverse);

  // Makes the same probabilities of the same scores once more.
  void (*probabilities)(const AttentionScores& scores, const float* greatest, const float* inverse);

  // d_p (keys, pitch), the gradient of probabilities p, becomes that of what was scaled:
  // scale p (d_p - the sum over keys of p d_p); 0 where an inverse is 0.
  void (*score_gradient)(const AttentionScores& p, float* d_p, const float* inverse);
};

const AttentionLoops& LoopsOfAttention(InstructionSet instruction_set);

}  // namespace svgd
