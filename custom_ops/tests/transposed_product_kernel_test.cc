// Products on plain arrays: their bits and their errors, for each instruction set.
#include "cpu/transposed_product_kernel.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "instruction_sets.h"
#include "numbers.h"
#include "parallel_for.h"

namespace {

using svgd::ProductShape;
using svgd::TransposedProductLoops;
using svgd::tests::InstructionSets;
using svgd::tests::Numbers;
using svgd::tests::OnThreads;

// Fewer and more than a tile, a block, a panel and a slab of each; several products, few and many.
const std::vector<ProductShape> kShapes = {
    {1, 1, 1, 1},      {1, 7, 33, 300},    {1, 145, 130, 257}, {1, 50, 70, 1030}, {1, 2500, 20, 40},
    {1, 20, 2100, 30}, {1, 9, 1300, 1040}, {3, 10, 18, 20},    {18, 33, 17, 30},
};

std::vector<float> Run(const ProductShape& shape, const std::vector<float>& a,
                       const std::vector<float>& b, const TransposedProductLoops& loops,
                       size_t count) {
  std::vector<float> c(shape.batch * shape.rows * shape.columns, std::nanf(""));
  std::vector<float> workspace(svgd::TransposedProductWorkspace(shape, loops));
  svgd::TransposedProduct(a.data(), b.data(), c.data(), shape, workspace.data(),
                          {OnThreads, &count}, loops);
  return c;
}

}  // namespace

TEST_CASE("a product is that of double precision, with the same bits on any threads") {
  for (const svgd::InstructionSet set : InstructionSets()) {
    const TransposedProductLoops& loops = svgd::LoopsOfTransposedProduct(set);
    for (const ProductShape& shape : kShapes) {
      CAPTURE(shape.rows);
      CAPTURE(shape.columns);
      CAPTURE(shape.depth);
      const auto a = Numbers(shape.batch * shape.depth * shape.rows, 1);
      const auto b = Numbers(shape.batch * shape.depth * shape.columns, 2);
      const std::vector<float> c = Run(shape, a, b, loops, 1);
      const std::vector<float> again = Run(shape, a, b, loops, 3);
      CHECK(std::memcmp(c.data(), again.data(), c.size() * sizeof(float)) == 0);
      double largest = 0;
      for (size_t i = 0; i < c.size(); i += 7) {
        const size_t column = i % shape.columns, row = i / shape.columns % shape.rows;
        const size_t first = i / shape.columns / shape.rows * shape.depth;
        double sum = 0, size = 0;
        for (size_t k = first; k < first + shape.depth; ++k) {
          const double term = double{a[k * shape.rows + row]} * b[k * shape.columns + column];
          sum += term;
          size += std::abs(term);
        }
        largest = std::max(largest, std::abs(c[i] - sum) / (size + 1e-30));
      }
      CHECK(largest < 1e-6);
    }
  }
}
