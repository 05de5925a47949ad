// Convolution on plain arrays: its bits and its errors, for each instruction set.
#include "cpu/convolution_kernel.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "convolution_reference.h"
#include "instruction_sets.h"
#include "parallel_for.h"

namespace {

using svgd::ConvolutionAxis;
using svgd::ConvolutionShape;
using svgd::InstructionSet;
using svgd::convolution::LoopsOfSet;
using svgd::tests::InstructionSets;
using svgd::tests::OnThreads;
using svgd::tests::Tensors;

struct Result {
  std::vector<float> y, dx, dw, db;
};

Result Run(const ConvolutionShape& shape, const Tensors& tensors, const LoopsOfSet& loops,
           size_t count) {
  const svgd::Threads threads{OnThreads, &count};
  Result result{std::vector<float>(tensors.dy.size()), std::vector<float>(tensors.x.size()),
                std::vector<float>(tensors.w.size()), std::vector<float>(shape.outputs)};
  std::vector<float> workspace(svgd::ConvolutionWorkspace(shape, loops));
  svgd::Convolution(tensors.x.data(), tensors.w.data(), tensors.bias.data(), result.y.data(), shape,
                    workspace.data(), threads, loops);
  workspace.resize(svgd::ConvolutionInputGradientWorkspace(shape, loops));
  svgd::ConvolutionInputGradient(tensors.dy.data(), tensors.w.data(), result.dx.data(), shape,
                                 workspace.data(), threads, loops);
  workspace.resize(svgd::ConvolutionWeightGradientWorkspace(shape, loops));
  svgd::ConvolutionWeightGradient(tensors.dy.data(), {tensors.factor.data(), false},
                                  tensors.x.data(), result.dw.data(), result.db.data(), shape,
                                  workspace.data(), threads, loops);
  return result;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

ConvolutionAxis Axis(int64_t in, int64_t kernel, int64_t stride, int64_t pad,
                     int64_t dilation = 1) {
  const int64_t out = (in + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
  return {in, out, kernel, stride, dilation, pad};
}

// Several blocks and panels, runs longer and shorter than a chunk, groups of each kind.
const std::vector<ConvolutionShape> kShapes = {
    {3, 1, 16, 16, {ConvolutionAxis{}, Axis(13, 3, 1, 1), Axis(14, 3, 1, 1)}},
    {2, 1, 3, 40, {ConvolutionAxis{}, Axis(15, 7, 2, 3), Axis(17, 7, 2, 3)}},
    {2, 1, 300, 33, {ConvolutionAxis{}, Axis(5, 1, 1, 0), Axis(4, 1, 2, 0)}},
    {2, 1, 35, 70, {ConvolutionAxis{}, Axis(9, 3, 2, 1), Axis(8, 3, 1, 2, 2)}},
    {2, 3, 21, 60, {ConvolutionAxis{}, Axis(9, 3, 1, 1), Axis(8, 2, 3, 0)}},
    {2, 37, 37, 37, {ConvolutionAxis{}, Axis(9, 3, 1, 1), Axis(8, 3, 2, 1)}},
    {2, 5, 5, 20, {ConvolutionAxis{}, Axis(9, 3, 1, 1), Axis(8, 3, 1, 1)}},
    {1, 1, 9, 17, {Axis(5, 3, 2, 1), Axis(4, 2, 1, 1), Axis(6, 3, 1, 1)}},
    {1, 1, 5, 4, {ConvolutionAxis{}, ConvolutionAxis{}, Axis(700, 9, 2, 4)}},
    {29, 1, 20, 24, {ConvolutionAxis{}, Axis(4, 3, 1, 1), Axis(3, 3, 2, 2)}},
    {31, 2, 10, 36, {Axis(2, 3, 1, 1), Axis(2, 3, 1, 1), Axis(3, 2, 1, 1)}},
    {40, 1, 6, 8, {ConvolutionAxis{}, ConvolutionAxis{}, ConvolutionAxis{}}},
};

}  // namespace

TEST_CASE("convolution and its gradients are within rounding of double precision") {
  for (const ConvolutionShape& shape : kShapes) {
    const Tensors tensors = svgd::tests::RandomTensors(shape, 0);
    const svgd::tests::Expected expected = svgd::tests::Reference(shape, tensors);
    for (const InstructionSet set : InstructionSets()) {
      CAPTURE(&shape - kShapes.data());
      CAPTURE(static_cast<int>(set));
      const Result result = Run(shape, tensors, svgd::convolution::LoopsFor(set), 2);
      using svgd::tests::Error;
      CHECK(Error(result.y.data(), expected.y, expected.y_sizes) < 1e-6);
      CHECK(Error(result.dx.data(), expected.dx, expected.dx_sizes) < 1e-6);
      CHECK(Error(result.dw.data(), expected.dw, expected.dw_sizes) < 1e-6);
      CHECK(Error(result.db.data(), expected.db, expected.db_sizes) < 1e-6);
    }
  }
}

TEST_CASE("the number of threads changes no bit of a convolution") {
  for (const ConvolutionShape& shape : kShapes) {
    CAPTURE(&shape - kShapes.data());
    const Tensors tensors = svgd::tests::RandomTensors(shape, 0);
    const Result alone = Run(shape, tensors, svgd::convolution::WidestLoops(), 1);
    for (const size_t threads : {2, 3, 5}) {
      const Result result = Run(shape, tensors, svgd::convolution::WidestLoops(), threads);
      CHECK(SameBits(result.y, alone.y));
      CHECK(SameBits(result.dx, alone.dx));
      CHECK(SameBits(result.dw, alone.dw));
      CHECK(SameBits(result.db, alone.db));
    }
  }
}

TEST_CASE("a factor of channels is one of elements that repeats") {
  for (const ConvolutionShape& shape : kShapes) {
    CAPTURE(&shape - kShapes.data());
    Tensors tensors = svgd::tests::RandomTensors(shape, 0);
    for (size_t i = 0; i < tensors.factor.size(); ++i) {
      tensors.factor[i] = tensors.factor[i % shape.outputs];
    }
    size_t threads = 1;
    const LoopsOfSet& loops = svgd::convolution::WidestLoops();
    std::vector<float> dw(tensors.w.size());
    std::vector<float> workspace(svgd::ConvolutionWeightGradientWorkspace(shape, loops));
    svgd::ConvolutionWeightGradient(tensors.dy.data(), {tensors.factor.data(), true},
                                    tensors.x.data(), dw.data(), nullptr, shape, workspace.data(),
                                    {OnThreads, &threads}, loops);
    CHECK(SameBits(dw, Run(shape, tensors, loops, 1).dw));
  }
}
