#include "cpu/layer_normalization_kernel.h"

#include <algorithm>
#include <vector>

#include "cpu/layer_normalization_loops.h"

namespace svgd {
namespace {

// Of a block, about, whose sums over rows are in single precision.
constexpr size_t kBlockNumbers = 32 * 1024;
// Of a block, at least: what its sums take is a small part of x then.
constexpr size_t kFewestRows = 16;

}  // namespace

void LayerNormalizationGradient(const LayerNormalizationGradientInputs& in,
                                const LayerNormalizationGradientOutputs& out, size_t rows,
                                size_t width, const Threads& threads) {
  const size_t in_block = std::max(kFewestRows, kBlockNumbers / std::max<size_t>(1, width));
  const size_t blocks = DivideUp(rows, in_block);
  std::vector<float> d_scale(blocks * width), d_shift(blocks * width);
  const LayerNormalizationLoops& loops = LoopsOfLayerNormalization(Widest());
  threads.ForEach(blocks, rows * width, [&](size_t block) {
    for (size_t row = block * in_block; row < std::min(rows, (block + 1) * in_block); ++row) {
      const size_t place = row * width;
      const NormalizedRow its{in.dy + place, in.x + place, width, in.mean[row], in.inverse[row]};
      loops.gradient(its, in.scale, out.dx + place, d_scale.data() + block * width,
                     d_shift.data() + block * width);
    }
  });
  std::vector<double> scales(width), shifts(width);
  for (size_t block = 0; block < blocks; ++block) {
    for (size_t c = 0; c < width; ++c) {
      scales[c] += static_cast<double>(d_scale[block * width + c]);
      shifts[c] += static_cast<double>(d_shift[block * width + c]);
    }
  }
  for (size_t c = 0; c < width; ++c) {
    out.d_scale[c] = static_cast<float>(scales[c]);
    out.d_shift[c] = static_cast<float>(shifts[c]);
  }
}

}  // namespace svgd
