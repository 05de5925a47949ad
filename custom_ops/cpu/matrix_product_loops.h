// The innermost loops of MatrixProduct. matrix_product_loops.cc is compiled once for each
// instruction set that a processor may have.
#pragma once

#include <cstddef>

#include "cpu/instruction_set.h"

namespace svgd {

// A tile of C: as many rows and columns as fit into registers, or fewer.
struct ProductTile {
  const float* a;  // (depth, rows of a tile), packed
  const float* b;  // (depth, columns of a tile), packed
  size_t depth;
  float* c;
  size_t pitch;  // from a row of C to the next
  size_t rows;   // at least 1, as columns
  size_t columns;
  bool add;           // to what C holds
  const float* bias;  // of the columns, is added; may be null
};

// Rows of A, or columns of B, as tiles read them: in panels (depth, width), the width a tile's, one
// after the other, zeros behind the last row or column.
struct ProductPanels {
  const float* from;
  size_t pitch;  // from a row of what is packed to the next
  size_t count;  // of rows of A, or columns of B
  size_t depth;
  float* to;
};

// Packs what lies (depth, count), or, turned, (count, depth).
struct PackPanels {
  void (*as_it_is)(const ProductPanels& panels);
  void (*turned)(const ProductPanels& panels);
};

struct MatrixProductLoops {
  size_t rows, columns;  // of a tile
  void (*run)(const ProductTile& tile);
  PackPanels pack_a, pack_b;
};

const MatrixProductLoops& LoopsOfMatrixProduct(InstructionSet instruction_set);

}  // namespace svgd
