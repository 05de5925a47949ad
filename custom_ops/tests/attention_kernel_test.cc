// Attention and its gradient on plain arrays: their bits and their errors, for each instruction
// set.
#include "cpu/attention_kernel.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "attention_reference.h"
#include "instruction_sets.h"
#include "parallel_for.h"

namespace {

using svgd::AllAttentionLoops;
using svgd::AttentionShape;
using svgd::tests::AttentionArrays;
using svgd::tests::InstructionSets;
using svgd::tests::OnThreads;

// Fewer and more than a tile, a block of queries, and what is added up before it goes to memory.
const std::vector<AttentionShape> kShapes = {
    {1, 1, 1, 1, 1},       {2, 5, 3, 2, 4},    {3, 33, 17, 9, 40},
    {2, 130, 128, 64, 64}, {1, 40, 700, 8, 5}, {4, 70, 65, 300, 7},
};
constexpr float kScale = 0.3F;

// The outputs, and the gradients of Q, K and V.
using Results = std::vector<std::vector<float>>;

Results Run(const AttentionArrays& a, const AllAttentionLoops& loops, size_t threads) {
  const AttentionShape& shape = a.shape;
  const size_t queries = shape.heads * shape.queries;
  std::vector<float> greatest(queries), inverse(queries);
  Results results;
  for (const size_t size : {a.d_out.size(), a.q.size(), a.k.size(), a.v.size()}) {
    results.emplace_back(size, std::nanf(""));
  }
  svgd::Attention(a.Inputs(), results[0].data(), {greatest.data(), inverse.data()}, shape, kScale,
                  false, {OnThreads, &threads}, loops);
  svgd::AttentionGradient(a.Inputs(), a.d_out.data(), {greatest.data(), inverse.data()},
                          {results[1].data(), results[2].data(), results[3].data()}, shape, kScale,
                          {OnThreads, &threads}, loops);
  return results;
}

void CheckShape(const AttentionShape& shape, const AllAttentionLoops& loops) {
  CAPTURE(shape.heads);
  CAPTURE(shape.queries);
  CAPTURE(shape.keys);
  CAPTURE(shape.width);
  CAPTURE(shape.values);
  AttentionArrays arrays(shape);
  const auto mask = svgd::tests::Numbers(shape.queries * shape.keys, 4);
  arrays.mask = {mask.data(), std::vector<size_t>(shape.heads, 0), shape.keys, 1};
  const Results found = Run(arrays, loops, 1), again = Run(arrays, loops, 3);
  const auto expected = svgd::tests::Reference(arrays, kScale, false);
  const svgd::tests::Sums* wanted[] = {&expected.out, &expected.d_q, &expected.d_k, &expected.d_v};
  for (size_t each = 0; each < found.size(); ++each) {
    CAPTURE(each);
    const auto& numbers = found[each];
    CHECK(std::memcmp(numbers.data(), again[each].data(), numbers.size() * sizeof(float)) == 0);
    CHECK(svgd::tests::Error(numbers.data(), *wanted[each]) <= 4e-6);
  }
}

}  // namespace

TEST_CASE(
    "attention and its gradient are those of double precision, the same bits on any threads") {
  for (const svgd::InstructionSet set : InstructionSets()) {
    const AllAttentionLoops loops(set);
    for (const AttentionShape& shape : kShapes) CheckShape(shape, loops);
  }
}

TEST_CASE("attention of heads of any size") {
  std::mt19937 random(7);
  const auto size = [&](unsigned most) { return size_t{1} + random() % most; };
  for (const svgd::InstructionSet set : InstructionSets()) {
    const AllAttentionLoops loops(set);
    for (int i = 0; i < 40; ++i) {
      CheckShape({size(4), size(90), size(90), size(40), size(40)}, loops);
    }
  }
}
