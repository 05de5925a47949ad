// Products of a transposed matrix with another in float32: what gradients of weights are.
//
// K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (ACM TOMS 34,
// 2008): both factors are packed in the order in which a tile of registers reads them.
#pragma once

#include <cstddef>

#include "cpu/tasks.h"
#include "cpu/transposed_product_loops.h"

namespace svgd {

// C (rows, columns) is A (depth, rows), transposed, times B (depth, columns); `batch` times.
struct ProductShape {
  size_t batch, rows, columns, depth;
};

// Numbers of memory that a product needs beside its tensors.
size_t TransposedProductWorkspace(
    const ProductShape& shape,
    const TransposedProductLoops& loops = LoopsOfTransposedProduct(Widest()));

// The order of additions depends on the shape alone.
void TransposedProduct(const float* a, const float* b, float* c, const ProductShape& shape,
                       float* workspace, const Threads& threads,
                       const TransposedProductLoops& loops = LoopsOfTransposedProduct(Widest()));

}  // namespace svgd
