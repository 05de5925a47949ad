// The innermost loops of BatchNormalization. batch_normalization_loops.cc is compiled once for each
// instruction set that a processor may have.
#pragma once

#include <cstddef>

#include "cpu/virtual_gradient_loops.h"

namespace svgd {

// What a column is computed with: y = (x - mean) factor + shift.
struct Columns {
  const float* mean;
  const float* factor;
  const float* shift;
};

// Rows of `count` columns lie one behind the other. With `relu` what is below 0 becomes 0, and its
// gradient, and that of 0 too.
struct BatchNormalizationLoops {
  // sums[c] += the sum over rows of x[row, c]
  void (*sum)(const float* x, size_t rows, size_t count, float* sums);

  // sums[c] += the sum over rows of (x[row, c] - mean[c])^2
  void (*sum_squares)(const float* x, size_t rows, size_t count, const float* mean, float* sums);

  void (*normalize)(const float* x, float* y, size_t rows, size_t count, const Columns& columns,
                    bool relu);

  // The same with a relu, of the sum of what is normalized and `residual`.
  void (*normalize_and_add)(const float* x, const float* residual, float* y, size_t rows,
                            size_t count, const Columns& columns);

  // masked[c] = dy[c] where y[c] > 0, else 0; masked may be dy
  void (*mask)(const float* dy, const float* y, float* masked, size_t count);

  // sums[c] += the sum over rows of g, and products[c] += that of g (x - mean), for g = dy or, with
  // `relu`, dy where y > 0 and else 0
  void (*sum_gradients)(const float* dy, const float* x, size_t rows, size_t count,
                        const Columns& columns, bool relu, float* sums, float* products);

  // dx = g factor + (x - mean) of_x[c] + constant[c]; dx may be dy
  void (*gradient)(const float* dy, const float* x, float* dx, size_t rows, size_t count,
                   const Columns& columns, bool relu, const float* of_x, const float* constant);
};

const BatchNormalizationLoops& LoopsOfBatchNormalization(InstructionSet instruction_set);

}  // namespace svgd
