// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is.
#include "cpu/batch_normalization_loops.h"

#include <stddef.h>

#include "cpu/independent.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

void Sum(const float* x, size_t rows, size_t count, float* sums) {
  for (size_t row = 0; row < rows; ++row, x += count) {
    SVGD_INDEPENDENT
    for (size_t c = 0; c < count; ++c) sums[c] += x[c];
  }
}

void SumSquares(const float* x, size_t rows, size_t count, const float* mean, float* sums) {
  for (size_t row = 0; row < rows; ++row, x += count) {
    SVGD_INDEPENDENT
    for (size_t c = 0; c < count; ++c) {
      const float centred = x[c] - mean[c];
      sums[c] += centred * centred;
    }
  }
}

void Normalize(const float* x, float* y, size_t rows, size_t count, const Columns& columns,
               bool relu) {
  const float* mean = columns.mean;
  const float* factor = columns.factor;
  const float* shift = columns.shift;
  for (size_t row = 0; row < rows; ++row, x += count, y += count) {
    if (relu) {
      SVGD_INDEPENDENT
      for (size_t c = 0; c < count; ++c) {
        const float value = (x[c] - mean[c]) * factor[c] + shift[c];
        y[c] = value < 0 ? 0 : value;  // NaN stays
      }
    } else {
      SVGD_INDEPENDENT
      for (size_t c = 0; c < count; ++c) y[c] = (x[c] - mean[c]) * factor[c] + shift[c];
    }
  }
}

void NormalizeAndAdd(const float* x, const float* residual, float* y, size_t rows, size_t count,
                     const Columns& columns) {
  const float* mean = columns.mean;
  const float* factor = columns.factor;
  const float* shift = columns.shift;
  for (size_t row = 0; row < rows; ++row, x += count, y += count, residual += count) {
    SVGD_INDEPENDENT
    for (size_t c = 0; c < count; ++c) {
      const float value = (x[c] - mean[c]) * factor[c] + shift[c] + residual[c];
      y[c] = value < 0 ? 0 : value;  // NaN stays
    }
  }
}

void Mask(const float* dy, const float* y, float* masked, size_t count) {
  SVGD_INDEPENDENT
  for (size_t c = 0; c < count; ++c) masked[c] = y[c] > 0 ? dy[c] : 0;
}

void SumGradients(const float* dy, const float* x, size_t rows, size_t count,
                  const Columns& columns, bool relu, float* sums, float* products) {
  const float* mean = columns.mean;
  const float* factor = columns.factor;
  const float* shift = columns.shift;
  for (size_t row = 0; row < rows; ++row, x += count, dy += count) {
    if (relu) {
      SVGD_INDEPENDENT
      for (size_t c = 0; c < count; ++c) {
        const float centred = x[c] - mean[c];
        const float gradient = centred * factor[c] + shift[c] > 0 ? dy[c] : 0;
        sums[c] += gradient;
        products[c] += gradient * centred;
      }
    } else {
      SVGD_INDEPENDENT
      for (size_t c = 0; c < count; ++c) {
        sums[c] += dy[c];
        products[c] += dy[c] * (x[c] - mean[c]);
      }
    }
  }
}

void Gradient(const float* dy, const float* x, float* dx, size_t rows, size_t count,
              const Columns& columns, bool relu, const float* of_x, const float* constant) {
  const float* mean = columns.mean;
  const float* factor = columns.factor;
  const float* shift = columns.shift;
  for (size_t row = 0; row < rows; ++row, x += count, dy += count, dx += count) {
    if (relu) {
      SVGD_INDEPENDENT
      for (size_t c = 0; c < count; ++c) {
        const float centred = x[c] - mean[c];
        const float gradient = centred * factor[c] + shift[c] > 0 ? dy[c] : 0;
        dx[c] = gradient * factor[c] + centred * of_x[c] + constant[c];
      }
    } else {
      SVGD_INDEPENDENT
      for (size_t c = 0; c < count; ++c) {
        dx[c] = dy[c] * factor[c] + (x[c] - mean[c]) * of_x[c] + constant[c];
      }
    }
  }
}

}  // namespace

extern const BatchNormalizationLoops kBatchNormalization = {
    Sum, SumSquares, Normalize, NormalizeAndAdd, Mask, SumGradients, Gradient};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
