// Attention and its gradient on plain arrays: their bits and their errors, for each instruction
// set.
#include "cpu/attention_kernel.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "instruction_sets.h"
#include "numbers.h"
#include "parallel_for.h"

namespace {

using svgd::AllAttentionLoops;
using svgd::AttentionShape;
using svgd::tests::InstructionSets;
using svgd::tests::Numbers;
using svgd::tests::OnThreads;

// Fewer and more than a tile, a block of queries, and what is added up before it goes to memory.
const std::vector<AttentionShape> kShapes = {
    {1, 1, 1, 1, 1},       {2, 5, 3, 2, 4},    {3, 33, 17, 9, 40},
    {2, 130, 128, 64, 64}, {1, 40, 700, 8, 5}, {4, 70, 65, 300, 7},
};
constexpr float kScale = 0.3F;

struct Arrays {
  explicit Arrays(const AttentionShape& its_shape)
      : shape(its_shape),
        q(Numbers(shape.heads * shape.queries * shape.width, 1)),
        k(Numbers(shape.heads * shape.width * shape.keys, 2)),
        v(Numbers(shape.heads * shape.keys * shape.values, 3)),
        mask(Numbers(shape.queries * shape.keys, 4)),
        d_out(Numbers(shape.heads * shape.queries * shape.values, 5)) {}

  AttentionShape shape;
  std::vector<float> q, k, v, mask, d_out;
};

// The outputs, and the gradients of Q, K and V.
using Results = std::vector<std::vector<float>>;

Results Run(const Arrays& a, const AllAttentionLoops& loops, size_t threads) {
  const AttentionShape& shape = a.shape;
  const size_t queries = shape.heads * shape.queries;
  std::vector<float> greatest(queries), inverse(queries);
  Results results;
  for (const size_t size : {a.d_out.size(), a.q.size(), a.k.size(), a.v.size()}) {
    results.emplace_back(size, std::nanf(""));
  }
  const svgd::AttentionInputs in{
      a.q.data(),
      a.k.data(),
      a.v.data(),
      {a.mask.data(), std::vector<size_t>(shape.heads, 0), shape.keys, 1}};
  svgd::Attention(in, results[0].data(), {greatest.data(), inverse.data()}, shape, kScale, false,
                  {OnThreads, &threads}, loops);
  svgd::AttentionGradient(in, a.d_out.data(), {greatest.data(), inverse.data()},
                          {results[1].data(), results[2].data(), results[3].data()}, shape, kScale,
                          {OnThreads, &threads}, loops);
  return results;
}

std::vector<std::vector<double>> Exact(const Arrays& a) {
  const auto& [heads, queries, keys, width, values] = a.shape;
  std::vector<double> out(a.d_out.size()), d_q(a.q.size()), d_k(a.k.size()), d_v(a.v.size());
  for (size_t head = 0; head < heads; ++head) {
    const float* k = a.k.data() + head * width * keys;
    for (size_t query = head * queries; query < (head + 1) * queries; ++query) {
      std::vector<double> p(keys), d_p(keys);
      double sum = 0, both = 0;
      for (size_t key = 0; key < keys; ++key) {
        double score = 0;
        for (size_t i = 0; i < width; ++i)
          score += double{a.q[query * width + i]} * k[i * keys + key];
        const size_t place = (query - head * queries) * keys + key;
        p[key] = std::exp(score * double{kScale} + double{a.mask[place]});
        sum += p[key];
      }
      for (size_t key = 0; key < keys; ++key) {
        p[key] /= sum;
        for (size_t i = 0; i < values; ++i) {
          const size_t value = (head * keys + key) * values + i, row = query * values + i;
          out[row] += p[key] * double{a.v[value]};
          d_v[value] += p[key] * double{a.d_out[row]};
          d_p[key] += double{a.d_out[row]} * double{a.v[value]};
        }
        both += p[key] * d_p[key];
      }
      for (size_t key = 0; key < keys; ++key) {
        const double d_score = double{kScale} * p[key] * (d_p[key] - both);
        for (size_t i = 0; i < width; ++i) {
          d_q[query * width + i] += d_score * k[i * keys + key];
          d_k[(head * width + i) * keys + key] += d_score * double{a.q[query * width + i]};
        }
      }
    }
  }
  return {out, d_q, d_k, d_v};
}

}  // namespace

namespace {

void CheckShape(const AttentionShape& shape, const AllAttentionLoops& loops) {
  CAPTURE(shape.heads);
  CAPTURE(shape.queries);
  CAPTURE(shape.keys);
  CAPTURE(shape.width);
  CAPTURE(shape.values);
  const Arrays arrays(shape);
  const Results found = Run(arrays, loops, 1), again = Run(arrays, loops, 3);
  const auto wanted = Exact(arrays);
  for (size_t each = 0; each < found.size(); ++each) {
    CAPTURE(each);
    const auto& numbers = found[each];
    CHECK(std::memcmp(numbers.data(), again[each].data(), numbers.size() * sizeof(float)) == 0);
    double apart = 0, size = 0;
    for (size_t i = 0; i < numbers.size(); ++i) {
      apart += std::pow(numbers[i] - wanted[each][i], 2);
      size += std::pow(wanted[each][i], 2);
    }
    CHECK(std::sqrt(apart) <= 2e-6 * std::sqrt(size) + 1e-6);
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
