#include "cpu/convolution_kernel.h"

#include <algorithm>
#include <vector>

#include "cpu/convolution/depthwise.h"
#include "cpu/convolution/pass.h"

namespace svgd {
namespace {

using convolution::LoopsOfSet;
using convolution::Pass;

size_t PackedWeights(const std::vector<Pass>& passes, const LoopsOfSet& loops) {
  size_t numbers = 0;
  for (const Pass& pass : passes) numbers += convolution::PackedWeights(pass, loops);
  return numbers;
}

// Whether the passes write every pixel.
bool Cover(const std::vector<Pass>& passes, const ConvolutionShape& shape) {
  size_t pixels = 0;
  for (const Pass& pass : passes) pixels += pass.pixels();
  return pixels == shape.batch * shape.in_pixels();
}

void Clear(float* numbers, size_t count, const Threads& threads) {
  constexpr size_t kPiece = 256 * 1024;
  threads.ForEach(DivideUp(count, kPiece), count, [&](size_t index) {
    const size_t first = index * kPiece;
    std::fill(numbers + first, numbers + std::min(count, first + kPiece), 0.0F);
  });
}

// Those that make the output of a convolution or dX.
void Run(const std::vector<Pass>& passes, const float* in, const float* weights, const float* bias,
         float* out, const ConvolutionShape& shape, float* workspace, const LoopsOfSet& loops,
         const Threads& threads) {
  const auto run = shape.depthwise() ? convolution::RunDepthwise : convolution::RunPasses;
  run(passes, in, weights, bias, out, workspace, loops, threads);
}

size_t Workspace(const std::vector<Pass>& passes, const ConvolutionShape& shape,
                 const LoopsOfSet& loops) {
  return shape.depthwise() ? convolution::DepthwiseWeights(passes, loops)
                           : PackedWeights(passes, loops);
}

}  // namespace

size_t ConvolutionWorkspace(const ConvolutionShape& shape, const LoopsOfSet& loops) {
  return Workspace({convolution::ForwardPass(shape)}, shape, loops);
}

size_t ConvolutionInputGradientWorkspace(const ConvolutionShape& shape, const LoopsOfSet& loops) {
  return Workspace(convolution::InputGradientPasses(shape), shape, loops);
}

size_t ConvolutionWeightGradientWorkspace(const ConvolutionShape& shape, const LoopsOfSet& loops) {
  return shape.depthwise() ? convolution::DepthwiseSums(shape, loops)
                           : convolution::WeightGradientSums(shape, loops);
}

void Convolution(const float* x, const float* weights, const float* bias, float* y,
                 const ConvolutionShape& shape, float* workspace, const Threads& threads,
                 const LoopsOfSet& loops) {
  Run({convolution::ForwardPass(shape)}, x, weights, bias, y, shape, workspace, loops, threads);
}

void ConvolutionInputGradient(const float* dy, const float* weights, float* dx,
                              const ConvolutionShape& shape, float* workspace,
                              const Threads& threads, const LoopsOfSet& loops) {
  const std::vector<Pass> passes = convolution::InputGradientPasses(shape);
  if (!Cover(passes, shape)) Clear(dx, shape.batch * shape.in_pixels() * shape.channels, threads);
  Run(passes, dy, weights, nullptr, dx, shape, workspace, loops, threads);
}

void ConvolutionWeightGradient(const float* dy, const convolution::Factor& factor, const float* x,
                               float* dw, float* db, const ConvolutionShape& shape,
                               float* workspace, const Threads& threads, const LoopsOfSet& loops) {
  const auto run =
      shape.depthwise() ? convolution::RunDepthwiseWeightGradient : convolution::RunWeightGradient;
  run(dy, factor, x, dw, db, shape, workspace, loops, threads);
}

}  // namespace svgd
