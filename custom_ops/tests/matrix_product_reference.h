// Products of matrices in double precision, beside which the kernel's are held.
#pragma once

#include <cmath>
#include <cstddef>

#include "cpu/matrix_product_kernel.h"

namespace svgd::tests {

struct Matrices {
  const ProductShape& shape;
  const float* a;
  const float* b;
  const float* bias;  // may be null

  size_t count() const { return shape.batch * shape.rows * shape.columns; }

  // How far a number of C is from what it has to be, of the size of what it is the sum of.
  double Error(const float* c, size_t index) const {
    const size_t column = index % shape.columns, row = index / shape.columns % shape.rows;
    const size_t product = index / shape.columns / shape.rows;
    const float* of_a = a + product * shape.rows * shape.depth;
    const float* of_b = b + product * shape.columns * shape.depth;
    double sum = bias == nullptr ? 0 : bias[column], size = std::abs(sum);
    for (size_t k = 0; k < shape.depth; ++k) {
      const float left = of_a[shape.transposed_a ? k * shape.rows + row : row * shape.depth + k];
      const float right =
          of_b[shape.transposed_b ? column * shape.depth + k : k * shape.columns + column];
      sum += double{left} * right;
      size += std::abs(double{left} * right);
    }
    return std::abs(c[index] - sum) / (size + 1e-30);
  }
};

}  // namespace svgd::tests
