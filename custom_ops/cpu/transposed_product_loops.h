// The innermost loops of TransposedProduct. transposed_product_loops.cc is compiled once for each
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
  const float* next;  // what will be read of B next, and how much
  size_t ahead;
};

// Columns of A or B as tiles read them: (depth, width), the width a tile's, zeros behind `count`.
struct ProductPanel {
  const float* from;
  size_t pitch;
  size_t count;
  size_t depth;
  float* to;
};

struct TransposedProductLoops {
  size_t rows, columns;  // of a tile
  void (*run)(const ProductTile& tile);
  void (*pack_a)(const ProductPanel& panel);
  void (*pack_b)(const ProductPanel& panel);
};

const TransposedProductLoops& LoopsOfTransposedProduct(InstructionSet instruction_set);

}  // namespace svgd
