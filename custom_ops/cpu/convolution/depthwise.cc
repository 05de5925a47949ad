#include "cpu/convolution/depthwise.h"

#include <algorithm>

#include "cpu/convolution/pass_plan.h"
#include "cpu/convolution/pixel_block.h"

namespace svgd::convolution {
namespace {

// Parts of the pixels whose sums are kept apart until the end.
constexpr size_t kParts = 12;
constexpr size_t kMostTilePixels = 16;

// All channels are seen at once, as if they were of one group.
Pass Together(const Pass& pass) {
  Pass together = pass;
  together.channels *= pass.groups;
  together.outputs *= pass.groups;
  together.groups = 1;
  return together;
}

size_t WeightPitch(size_t channels, const LoopsOfSet& loops) {
  const size_t panel = loops.For(channels).panel;
  return DivideUp(channels, panel) * panel;
}

// The kernel's elements channel by channel, zeros behind.
void Pack(const Pass& pass, size_t kernel, const float* weights, size_t pitch, float* packed) {
  for (const size_t element : Elements(pass)) {
    for (size_t c = 0; c < pass.channels; ++c) packed[c] = weights[c * kernel + element];
    std::fill(packed + pass.channels, packed + pitch, 0.0F);
    packed += pitch;
  }
}

size_t KernelElements(const Pass& pass) {
  size_t product = 1;
  for (const PassAxis& axis : pass.axes) product *= static_cast<size_t>(axis.kernel);
  return product;
}

void RunBlock(const Plan& plan, size_t index, const float* in, const float* packed, size_t pitch,
              const float* bias, float* out) {
  const PixelBlock block(plan, in, out, index);
  DepthwiseTile tile{};
  tile.runs = plan.runs;
  tile.channels = plan.pass.channels;
  tile.weight_pitch = pitch;
  tile.weights = packed;
  tile.start = bias;
  for (size_t pixel = 0; pixel < block.pixels(); pixel += plan.loops.pixels) {
    const size_t at = pixel / plan.loops.pixels;
    tile.rows = block.rows(at);
    tile.out = block.outs(at);
    tile.pixels = std::min(plan.loops.pixels, block.pixels() - pixel);
    plan.loops.depthwise_tile(tile);
  }
}

// A block's products, added to sums of its own and then to those of its part.
void SumBlock(const Plan& plan, size_t index, const float* dy, const Factor& factor, const float* x,
              size_t pitch, float* sums, float* part) {
  const Pass& pass = plan.pass;
  const PixelBlock block(plan, x, const_cast<float*>(dy), index);
  const float* factors[kMostTilePixels];
  DepthwiseWeightTile tile{};
  tile.runs = plan.runs;
  tile.channels = pass.channels;
  tile.weight_pitch = pitch;
  tile.sums = sums;
  std::fill(sums, sums + (plan.runs + 1) * pitch, 0.0F);
  for (size_t pixel = 0; pixel < block.pixels(); pixel += plan.loops.pixels) {
    const size_t at = pixel / plan.loops.pixels;
    tile.rows = block.rows(at);
    tile.dy = block.outs(at);
    tile.pixels = std::min(plan.loops.pixels, block.pixels() - pixel);
    if (factor.numbers != nullptr) {
      for (size_t i = 0; i < tile.pixels; ++i) {
        const auto place = static_cast<size_t>(tile.dy[i] - dy);
        const size_t of_example = place % (pass.out_pixels() * pass.channels);
        factors[i] = factor.numbers + (factor.of_channels ? 0 : of_example);
      }
      tile.factor = factors;
    }
    plan.loops.depthwise_weight_tile(tile);
  }
  for (size_t i = 0; i < (plan.runs + 1) * pitch; ++i) part[i] += sums[i];
}

}  // namespace

size_t DepthwiseWeights(const std::vector<Pass>& passes, const LoopsOfSet& loops) {
  size_t numbers = 0;
  for (const Pass& pass : passes) {
    numbers += pass.taps() * WeightPitch(pass.groups, loops);
  }
  return numbers;
}

void RunDepthwise(const std::vector<Pass>& passes, const float* in, const float* weights,
                  const float* bias, float* out, float* packed, const LoopsOfSet& loops,
                  const Threads& threads) {
  for (const Pass& each : passes) {
    const Pass pass = Together(each);
    if (pass.pixels() == 0) continue;
    const Plan plan(pass, loops.For(pass.channels), false);
    const size_t pitch = WeightPitch(pass.channels, loops);
    Pack(pass, KernelElements(pass), weights, pitch, packed);
    threads.ForEach(plan.blocks, plan.runs * pass.pixels() * pitch / plan.loops.panel,
                    [&](size_t index) { RunBlock(plan, index, in, packed, pitch, bias, out); });
    packed += pass.taps() * pitch;
  }
}

size_t DepthwiseSums(const ConvolutionShape& shape, const LoopsOfSet& loops) {
  return 2 * kParts * (shape.taps() + 1) * WeightPitch(shape.channels, loops);
}

void RunDepthwiseWeightGradient(const float* dy, const Factor& factor, const float* x, float* dw,
                                float* db, const ConvolutionShape& shape, float* sums,
                                const LoopsOfSet& loops, const Threads& threads) {
  const Pass pass = Together(ForwardPass(shape));
  const size_t pitch = WeightPitch(pass.channels, loops);
  const size_t size = (shape.taps() + 1) * pitch;
  std::fill(sums, sums + 2 * kParts * size, 0.0F);
  if (shape.batch > 0) {
    const Plan plan(pass, loops.For(pass.channels), false);
    threads.ForEach(kParts, plan.runs * pass.pixels() * pitch / plan.loops.panel, [&](size_t part) {
      float* of_part = sums + 2 * part * size;
      const size_t last = (part + 1) * plan.blocks / kParts;
      for (size_t index = part * plan.blocks / kParts; index < last; ++index) {
        SumBlock(plan, index, dy, factor, x, pitch, of_part + size, of_part);
      }
    });
  }
  const auto sum = [&](size_t tap, size_t c) {
    float total = 0;
    for (size_t part = 0; part < kParts; ++part) total += sums[2 * part * size + tap * pitch + c];
    return total;
  };
  for (size_t c = 0; c < shape.channels; ++c) {
    for (size_t tap = 0; tap < shape.taps(); ++tap) dw[c * shape.taps() + tap] = sum(tap, c);
    if (db != nullptr) db[c] = sum(shape.taps(), c);
  }
}

}  // namespace svgd::convolution
