// Products of matrices in float32.
//
// K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (ACM TOMS 34,
// 2008): both factors are packed in the order in which a tile of registers reads them.
#pragma once

#include <cstddef>

#include "cpu/matrix_product_loops.h"
#include "cpu/tasks.h"

namespace svgd {

// C (rows, columns) is A (rows, depth) times B (depth, columns); `batch` times. What is transposed
// lies (depth, rows), or (columns, depth).
struct ProductShape {
  size_t batch, rows, columns, depth;
  bool transposed_a, transposed_b;
};

// Numbers of memory that a product needs beside its tensors.
size_t MatrixProductWorkspace(const ProductShape& shape,
                              const MatrixProductLoops& loops = LoopsOfMatrixProduct(Widest()));

// The bias (columns) is added to each row; it may be null. The order of additions depends on the
// shape alone.
void MatrixProduct(const float* a, const float* b, const float* bias, float* c,
                   const ProductShape& shape, float* workspace, const Threads& threads,
                   const MatrixProductLoops& loops = LoopsOfMatrixProduct(Widest()));

}  // namespace svgd
