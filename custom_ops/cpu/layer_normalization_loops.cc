// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is.
#include "cpu/layer_normalization_loops.h"

#include "cpu/independent.h"
#include "cpu/lane_sums.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

void Gradient(const NormalizedRow& row, const float* scale, float* dx, float* d_scale,
              float* d_shift) {
  const float* dy = row.dy;
  const float* x = row.x;
  const size_t count = row.count;
  const float mean = row.mean, inverse = row.inverse;
  const float sum = LaneSum(count, [=](size_t i) { return dy[i] * scale[i]; });
  const float product =
      LaneSum(count, [=](size_t i) { return dy[i] * scale[i] * ((x[i] - mean) * inverse); });
  const float share = 1 / static_cast<float>(count);
  const float constant = sum * share, slope = product * share;
  SVGD_INDEPENDENT
  for (size_t i = 0; i < count; ++i) {
    const float normalized = (x[i] - mean) * inverse;
    const float gradient = dy[i];
    d_scale[i] += gradient * normalized;
    d_shift[i] += gradient;
    dx[i] = (gradient * scale[i] - constant - normalized * slope) * inverse;
  }
}

}  // namespace

extern const LayerNormalizationLoops kLayerNormalization = {Gradient};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
