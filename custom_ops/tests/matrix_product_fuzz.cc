// Products of matrices of random shapes; to be run under sanitizers. Arguments: how many cases, and
// the seed of the first.
//
// Each case runs for an instruction set of this processor, its tasks in order, and again in the
// reverse order: both have to give the same bits, within rounding of double precision.
#include <cstdio>
#include <memory>
#include <vector>

#include "arrays.h"
#include "fuzz.h"
#include "matrix_product_reference.h"
#include "numbers.h"
#include "parallel_for.h"

namespace {

using svgd::InstructionSet;
using svgd::ProductShape;
using svgd::tests::Copy;
using svgd::tests::From;
using svgd::tests::Matrices;
using svgd::tests::Numbers;
using svgd::tests::One;
using svgd::tests::Random;
using svgd::tests::Same;
using svgd::tests::Unset;

constexpr size_t kMostProducts = 1 << 21, kMostNumbers = 1 << 18;
constexpr double kMostError = 1e-6;

// Small ones mostly, now and then none at all.
size_t Size(Random& random, size_t most) {
  if (One(random, 40)) return 0;
  return From(random, 1, One(random, 3) ? most : 50);
}

ProductShape RandomShape(Random& random) {
  for (;;) {
    const ProductShape shape{One(random, 3) ? Size(random, 40) : 1,
                             Size(random, 9000),
                             Size(random, 3000),
                             Size(random, 3000),
                             One(random, 2),
                             One(random, 2)};
    const size_t a = shape.rows * shape.depth, b = shape.depth * shape.columns;
    const size_t c = shape.rows * shape.columns;
    if (shape.batch * c * shape.depth <= kMostProducts &&
        shape.batch * (a + b + c) <= kMostNumbers) {
      return shape;
    }
  }
}

std::unique_ptr<float[]> Run(const Matrices& of, const svgd::MatrixProductLoops& loops,
                             svgd::ParallelFor parallel_for) {
  auto c = Unset(of.count());
  const auto workspace = Unset(svgd::MatrixProductWorkspace(of.shape, loops));
  svgd::MatrixProduct(of.a, of.b, of.bias, c.get(), of.shape, workspace.get(),
                      {parallel_for, nullptr}, loops);
  return c;
}

bool Case(Random& random) {
  const ProductShape shape = RandomShape(random);
  const auto numbers = [&](size_t count) {
    return Copy(Numbers(count, static_cast<unsigned>(random())));
  };
  const auto a = numbers(shape.batch * shape.rows * shape.depth);
  const auto b = numbers(shape.batch * shape.columns * shape.depth);
  const auto bias = One(random, 2) ? nullptr : numbers(shape.columns);
  const auto set =
      static_cast<InstructionSet>(From(random, 0, static_cast<size_t>(svgd::Widest())));
  const svgd::MatrixProductLoops& loops = svgd::LoopsOfMatrixProduct(set);
  const Matrices of{shape, a.get(), b.get(), bias.get()};
  const auto c = Run(of, loops, svgd::tests::InOrder);
  const auto again = Run(of, loops, svgd::tests::InReverse);
  const size_t count = of.count();
  double largest = 0;
  for (size_t i = 0; i < count; i += From(random, 1, 9)) {
    const double error = of.Error(c.get(), i);
    largest = error <= largest ? largest : error;  // NaN too
  }
  const bool right = Same(c, again, count) && largest < kMostError;
  if (!right) {
    std::printf(
        "batch %zu rows %zu columns %zu depth %zu transposed %d %d bias %d set %d error %g: ",
        shape.batch, shape.rows, shape.columns, shape.depth, shape.transposed_a, shape.transposed_b,
        bias != nullptr, static_cast<int>(set), largest);
  }
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  return svgd::tests::Fuzz(argc, argv, "matrix product",
                           [](Random& random, size_t) { return Case(random); });
}
