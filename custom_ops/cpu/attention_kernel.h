// Attention and its gradient on arrays in the processor's memory, by heads: softmax(scale Q K +
// mask) V, of which no matrix of scores is kept. Nothing here knows of onnxruntime.
//
// T. Dao, D. Y. Fu, S. Ermon, A. Rudra, C. Ré, "FlashAttention: Fast and Memory-Efficient Exact
// Attention with IO-Awareness" (2022): the gradient makes the probabilities once more, from two
// numbers for each query; all keys of a block of queries are at hand here, as caches are large.
#pragma once

#include <cstddef>
#include <vector>

#include "cpu/attention_loops.h"
#include "cpu/matrix_product_loops.h"
#include "cpu/tasks.h"

namespace svgd {

// Of each head: Q (queries, width), K (width, keys), V (keys, values), outputs (queries, values).
struct AttentionShape {
  size_t heads, queries, keys, width, values;
};

// What is added to scores; a mask of one size along an axis has the stride 0 there.
struct AttentionMask {
  const float* data = nullptr;   // null for none
  std::vector<size_t> of_heads;  // where each head's begins
  size_t query_stride = 0, key_stride = 0;
};

struct AttentionInputs {
  const float* q;
  const float* k;
  const float* v;
  AttentionMask mask;
};

// For each query its greatest score and 1 / the sum of its powers: what the gradient makes its
// probabilities of.
template <typename Number>
struct AttentionStatistics {
  Number* greatest;
  Number* inverse;
};

struct AttentionGradients {
  float* q;
  float* k;
  float* v;
};

struct AllAttentionLoops {
  explicit AllAttentionLoops(InstructionSet set = Widest())
      : attention(LoopsOfAttention(set)), product(LoopsOfMatrixProduct(set)) {}

  const AttentionLoops& attention;
  const MatrixProductLoops& product;
};

// With nan_as_zero a query all of whose scores are -infinity, or one of whose is NaN, has
// probabilities of 0; else of NaN.
void Attention(const AttentionInputs& in, float* out, const AttentionStatistics<float>& statistics,
               const AttentionShape& shape, float scale, bool nan_as_zero, const Threads& threads,
               const AllAttentionLoops& loops = AllAttentionLoops());

// Of the outputs' gradient d_out. Each head is one task: the result does not depend on the number
// of threads.
void AttentionGradient(const AttentionInputs& in, const float* d_out,
                       const AttentionStatistics<const float>& statistics,
                       const AttentionGradients& gradients, const AttentionShape& shape,
                       float scale, const Threads& threads,
                       const AllAttentionLoops& loops = AllAttentionLoops());

}  // namespace svgd
