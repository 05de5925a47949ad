// Products of matrices of random shapes; to be run under sanitizers. Arguments: how many cases, and
// the seed of the first.
//
// Each case runs for an instruction set of this processor, its tasks in order, and again in the
// reverse order: both have to give the same bits, within rounding of double precision.
#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

#include "arrays.h"
#include "cpu/matrix_product_kernel.h"
#include "fuzz.h"
#include "numbers.h"
#include "parallel_for.h"

namespace {

using svgd::InstructionSet;
using svgd::ProductShape;
using svgd::tests::Copy;
using svgd::tests::Numbers;
using svgd::tests::Random;
using svgd::tests::Same;
using svgd::tests::Unset;

constexpr size_t kMostProducts = 1 << 21, kMostNumbers = 1 << 18;
constexpr double kMostError = 1e-6;

size_t From(Random& random, size_t least, size_t most) {
  return least + static_cast<size_t>(random() % (most - least + 1));
}

bool One(Random& random, size_t of) { return From(random, 1, of) == 1; }

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

struct Matrices {
  const ProductShape& shape;
  const float* a;
  const float* b;
  const float* bias;

  // What C has at a place, and how far from it C may be.
  double At(size_t index, double* size) const {
    const size_t column = index % shape.columns, row = index / shape.columns % shape.rows;
    const size_t product = index / shape.columns / shape.rows;
    const float* of_a = a + product * shape.rows * shape.depth;
    const float* of_b = b + product * shape.columns * shape.depth;
    double sum = bias == nullptr ? 0 : bias[column];
    *size = std::abs(sum);
    for (size_t k = 0; k < shape.depth; ++k) {
      const float left = of_a[shape.transposed_a ? k * shape.rows + row : row * shape.depth + k];
      const float right =
          of_b[shape.transposed_b ? column * shape.depth + k : k * shape.columns + column];
      sum += double{left} * right;
      *size += std::abs(double{left} * right);
    }
    return sum;
  }
};

std::unique_ptr<float[]> Run(const Matrices& of, const svgd::MatrixProductLoops& loops,
                             svgd::ParallelFor parallel_for) {
  auto c = Unset(of.shape.batch * of.shape.rows * of.shape.columns);
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
  const size_t count = shape.batch * shape.rows * shape.columns;
  double largest = 0;
  for (size_t i = 0; i < count; i += From(random, 1, 9)) {
    double size = 0;
    const double error = std::abs(c[i] - of.At(i, &size)) / (size + 1e-30);
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
