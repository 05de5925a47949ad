// Attention and its gradient on random shapes and masks; to be run under sanitizers. Arguments: how
// many cases, and the seed of the first.
//
// Each case runs for an instruction set of this processor, its heads in order, and again in the
// reverse order: both have to give the same bits, within rounding of double precision.
#include <cstdio>
#include <limits>
#include <memory>
#include <vector>

#include "arrays.h"
#include "attention_reference.h"
#include "fuzz.h"
#include "parallel_for.h"

namespace {

using svgd::AttentionMask;
using svgd::AttentionShape;
using svgd::InstructionSet;
using svgd::tests::AttentionArrays;
using svgd::tests::Copy;
using svgd::tests::From;
using svgd::tests::InOrder;
using svgd::tests::InReverse;
using svgd::tests::One;
using svgd::tests::Random;
using svgd::tests::Same;
using svgd::tests::Unset;

constexpr size_t kMostProducts = 1 << 19;
constexpr double kMostError = 1e-6;

// Small ones mostly, now and then none at all.
size_t Size(Random& random, size_t most) {
  if (One(random, 40)) return 0;
  return From(random, 1, One(random, 4) ? most : 20);
}

AttentionShape RandomShape(Random& random) {
  for (;;) {
    const AttentionShape shape{Size(random, 6), Size(random, 300), Size(random, 900),
                               Size(random, 300), Size(random, 300)};
    if (shape.heads * (shape.queries + 1) * (shape.keys + 1) * (shape.width + shape.values + 1) <=
        kMostProducts) {
      return shape;
    }
  }
}

// Of one number along heads, queries or keys, or not; it takes keys away, whole queries now and
// then, and has a NaN at times.
std::vector<float> SetMask(Random& random, const AttentionShape& shape, AttentionMask* mask) {
  const bool by_head = One(random, 2), by_query = One(random, 2), by_key = !One(random, 4);
  const size_t rows = by_query ? shape.queries : 1, row = by_key ? shape.keys : 1;
  mask->query_stride = by_query ? row : 0;
  mask->key_stride = by_key ? 1 : 0;
  for (size_t head = 0; head < shape.heads; ++head)
    mask->of_heads.push_back(by_head ? head * rows * row : 0);
  auto numbers = svgd::tests::Numbers((by_head ? shape.heads : 1) * rows * row,
                                      static_cast<unsigned>(random()));
  const size_t taken = From(random, 2, 9);
  const bool whole_rows = One(random, 3), has_nan = One(random, 5);
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (One(random, taken) || (whole_rows && i / row % 3 == 0))
      numbers[i] = -std::numeric_limits<float>::infinity();
    if (has_nan && One(random, 200)) numbers[i] = std::numeric_limits<float>::quiet_NaN();
  }
  return numbers;
}

struct Options {
  float scale;
  bool nan_as_zero;
};

struct Result {
  std::unique_ptr<float[]> out, d_q, d_k, d_v;
};

Result Run(const AttentionArrays& a, const Options& options, const svgd::AllAttentionLoops& loops,
           svgd::ParallelFor parallel_for) {
  const svgd::Threads threads{parallel_for, nullptr};
  const auto q = Copy(a.q), k = Copy(a.k), v = Copy(a.v), d_out = Copy(a.d_out);
  const size_t queries = a.shape.heads * a.shape.queries;
  const auto greatest = Unset(queries), inverse = Unset(queries);
  const svgd::AttentionInputs in{q.get(), k.get(), v.get(), a.mask};
  Result to{Unset(a.d_out.size()), Unset(a.q.size()), Unset(a.k.size()), Unset(a.v.size())};
  svgd::Attention(in, to.out.get(), {greatest.get(), inverse.get()}, a.shape, options.scale,
                  options.nan_as_zero, threads, loops);
  svgd::AttentionGradient(in, d_out.get(), {greatest.get(), inverse.get()},
                          {to.d_q.get(), to.d_k.get(), to.d_v.get()}, a.shape, options.scale,
                          threads, loops);
  return to;
}

bool Case(Random& random) {
  AttentionArrays a(RandomShape(random), static_cast<unsigned>(random()));
  const auto mask = One(random, 3) ? nullptr : Copy(SetMask(random, a.shape, &a.mask));
  a.mask.data = mask.get();
  const Options options{One(random, 8) ? -1.5F : 0.3F, One(random, 2)};
  const auto set =
      static_cast<InstructionSet>(From(random, 0, static_cast<size_t>(svgd::Widest())));
  const svgd::AllAttentionLoops loops(set);
  const auto expected = svgd::tests::Reference(a, options.scale, options.nan_as_zero);
  const Result result = Run(a, options, loops, InOrder), again = Run(a, options, loops, InReverse);
  using svgd::tests::Error;
  const double errors[] = {
      Error(result.out.get(), expected.out), Error(result.d_q.get(), expected.d_q),
      Error(result.d_k.get(), expected.d_k), Error(result.d_v.get(), expected.d_v)};
  bool right = Same(result.out, again.out, a.d_out.size()) &&
               Same(result.d_q, again.d_q, a.q.size()) && Same(result.d_k, again.d_k, a.k.size()) &&
               Same(result.d_v, again.d_v, a.v.size());
  for (const double error : errors) right = right && error < kMostError;
  if (!right) {
    const auto& [heads, queries, keys, width, values] = a.shape;
    std::printf("heads %zu queries %zu keys %zu width %zu values %zu mask %d zero %d set %d", heads,
                queries, keys, width, values, mask != nullptr, options.nan_as_zero,
                static_cast<int>(set));
    std::printf(" errors %g %g %g %g: ", errors[0], errors[1], errors[2], errors[3]);
  }
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  return svgd::tests::Fuzz(argc, argv, "attention",
                           [](Random& random, size_t) { return Case(random); });
}
