// Rows of a pass' output pixels whose input is read as it lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/convolution/pass_plan.h"

namespace svgd::convolution {

// The block `index` of a plan that is `in_place`.
class RowsInPlace {
 public:
  RowsInPlace(const Plan& plan, const float* in, float* out, size_t index);

  // The pixels' outputs of a panel; bias may be null.
  void Run(size_t panel, const float* packed, const float* bias) const;

 private:
  void RunRow(RowTile tile, int64_t row, size_t output) const;
  void RunTile(RowTile tile, const float* row, int64_t column, float* to, bool expect_next) const;

  const Plan& plan_;
  const float* plane_;  // of the input; null outside
  float* out_plane_;
  size_t first_row_, last_row_;
  const std::vector<float> zeros_;
};

}  // namespace svgd::convolution
