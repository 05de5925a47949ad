// Products on plain arrays: their bits and their errors, for each instruction set.
#include "cpu/matrix_product_kernel.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "instruction_sets.h"
#include "matrix_product_reference.h"
#include "numbers.h"
#include "parallel_for.h"

namespace {

using svgd::MatrixProductLoops;
using svgd::ProductShape;
using svgd::tests::InstructionSets;
using svgd::tests::Matrices;
using svgd::tests::Numbers;
using svgd::tests::OnThreads;

// Fewer and more than a tile, a task and what is packed at once, of each axis; several products,
// few and many.
const std::vector<ProductShape> kShapes = {
    {1, 1, 1, 1, false, false},       {1, 7, 33, 300, false, false},
    {1, 145, 130, 257, false, false}, {1, 50, 70, 1030, false, false},
    {1, 2500, 20, 40, false, false},  {1, 20, 2100, 30, false, false},
    {1, 9, 1300, 1040, false, false}, {1, 9000, 5, 130, false, false},
    {3, 10, 18, 20, false, false},    {18, 33, 17, 30, false, false},
};

std::vector<float> Run(const ProductShape& shape, const std::vector<float>& a,
                       const std::vector<float>& b, const std::vector<float>& bias,
                       const MatrixProductLoops& loops, size_t count) {
  std::vector<float> c(shape.batch * shape.rows * shape.columns, std::nanf(""));
  std::vector<float> workspace(svgd::MatrixProductWorkspace(shape, loops));
  svgd::MatrixProduct(a.data(), b.data(), bias.empty() ? nullptr : bias.data(), c.data(), shape,
                      workspace.data(), {OnThreads, &count}, loops);
  return c;
}

}  // namespace

TEST_CASE("a product is that of double precision, with the same bits on any threads") {
  for (const svgd::InstructionSet set : InstructionSets()) {
    const MatrixProductLoops& loops = svgd::LoopsOfMatrixProduct(set);
    for (ProductShape shape : kShapes) {
      for (int form = 0; form < 4; ++form) {
        shape.transposed_a = (form & 1) != 0;
        shape.transposed_b = (form & 2) != 0;
        CAPTURE(shape.rows);
        CAPTURE(shape.columns);
        CAPTURE(shape.depth);
        CAPTURE(form);
        const auto a = Numbers(shape.batch * shape.depth * shape.rows, 1);
        const auto b = Numbers(shape.batch * shape.depth * shape.columns, 2);
        const auto bias = form == 1 ? std::vector<float>{} : Numbers(shape.columns, 3);
        const std::vector<float> c = Run(shape, a, b, bias, loops, 1);
        const std::vector<float> again = Run(shape, a, b, bias, loops, 3);
        CHECK(std::memcmp(c.data(), again.data(), c.size() * sizeof(float)) == 0);
        const Matrices of{shape, a.data(), b.data(), bias.empty() ? nullptr : bias.data()};
        double largest = 0;
        for (size_t i = 0; i < c.size(); i += 7) largest = std::max(largest, of.Error(c.data(), i));
        CHECK(largest < 1e-6);
      }
    }
  }
}
