// Convolution and its gradients on random shapes; to be run under sanitizers. Arguments: how many
// cases, and the seed of the first.
//
// Each case runs for an instruction set of this processor, its tasks in order, and again in the
// reverse order: both have to give the same bits, within rounding of double precision.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "arrays.h"
#include "convolution_reference.h"
#include "cpu/convolution_kernel.h"
#include "fuzz.h"
#include "parallel_for.h"

namespace {

using svgd::ConvolutionAxis;
using svgd::ConvolutionShape;
using svgd::InstructionSet;
using svgd::tests::Copy;
using svgd::tests::InOrder;
using svgd::tests::InReverse;
using svgd::tests::Random;
using svgd::tests::Same;
using svgd::tests::Unset;

constexpr size_t kMostProducts = 1 << 21;

int64_t From(Random& random, int64_t least, int64_t most) {
  return least + static_cast<int64_t>(random() % static_cast<uint64_t>(most - least + 1));
}

// Small ones mostly; one that the kernel does not fit into gets padding.
ConvolutionAxis RandomAxis(Random& random) {
  ConvolutionAxis axis;
  if (From(random, 0, 3) == 0) return axis;
  axis.in = From(random, 1, From(random, 0, 9) == 0 ? 400 : 14);
  axis.kernel = From(random, 1, From(random, 0, 9) == 0 ? 12 : 4);
  axis.stride = From(random, 0, 1) == 0 ? 1 : From(random, 1, 6);
  axis.dilation = From(random, 0, 2) == 0 ? From(random, 1, 5) : 1;
  const int64_t extent = (axis.kernel - 1) * axis.dilation + 1;
  axis.pad = From(random, 0, 2) == 0 ? 0 : From(random, 0, extent + 2);
  const int64_t least = std::max<int64_t>(0, extent - axis.in - axis.pad);
  const int64_t after = least + (From(random, 0, 1) == 0 ? 0 : From(random, 0, extent));
  axis.out = (axis.in + axis.pad + after - extent) / axis.stride + 1;
  return axis;
}

// Of rows that are read as they lie: three columns of them at most one of which is outside.
ConvolutionAxis UsualAxis(Random& random) {
  ConvolutionAxis axis;
  axis.in = From(random, 6, 40);
  axis.kernel = 3;
  axis.pad = From(random, 0, 1);
  axis.out = axis.in + axis.pad + From(random, 0, 1) - 2;
  return axis;
}

size_t Channels(Random& random) {
  return static_cast<size_t>(From(random, 1, From(random, 0, 3) == 0 ? 300 : 20));
}

ConvolutionShape RandomShape(Random& random) {
  for (;;) {
    ConvolutionShape shape{};
    shape.batch = static_cast<size_t>(From(random, 0, From(random, 0, 2) == 0 ? 40 : 5));
    shape.axes = {RandomAxis(random), RandomAxis(random), RandomAxis(random)};
    if (From(random, 0, 2) == 0) {
      shape.axes[2] = UsualAxis(random);
      if (From(random, 0, 1) == 0)
        shape.axes = {ConvolutionAxis{}, UsualAxis(random), shape.axes[2]};
    }
    shape.groups = From(random, 0, 2) == 0 ? static_cast<size_t>(From(random, 1, 40)) : 1;
    const bool depthwise = shape.groups > 1 && From(random, 0, 1) == 0;
    shape.channels = shape.groups * (depthwise ? 1 : Channels(random));
    shape.outputs = shape.groups * (depthwise && From(random, 0, 1) == 0 ? 1 : Channels(random));
    const size_t examples = std::max<size_t>(1, shape.batch);
    const double products = static_cast<double>(examples * shape.out_pixels() * shape.taps()) *
                            static_cast<double>(shape.outputs * shape.group_channels());
    const size_t numbers = examples * shape.in_pixels() * shape.channels;
    if (products <= kMostProducts && numbers <= kMostProducts) return shape;
  }
}

struct Result {
  std::unique_ptr<float[]> y, dx, dw, db;
};

Result Run(const ConvolutionShape& shape, const svgd::tests::Tensors& tensors,
           const svgd::convolution::LoopsOfSet& loops, svgd::ParallelFor parallel_for) {
  const svgd::Threads threads{parallel_for, nullptr};
  const auto x = Copy(tensors.x), w = Copy(tensors.w), dy = Copy(tensors.dy);
  const auto bias = Copy(tensors.bias), factor = Copy(tensors.factor);
  Result result{Unset(tensors.dy.size()), Unset(tensors.x.size()), Unset(tensors.w.size()),
                Unset(shape.outputs)};
  auto workspace = Unset(svgd::ConvolutionWorkspace(shape, loops));
  svgd::Convolution(x.get(), w.get(), bias.get(), result.y.get(), shape, workspace.get(), threads,
                    loops);
  workspace = Unset(svgd::ConvolutionInputGradientWorkspace(shape, loops));
  svgd::ConvolutionInputGradient(dy.get(), w.get(), result.dx.get(), shape, workspace.get(),
                                 threads, loops);
  workspace = Unset(svgd::ConvolutionWeightGradientWorkspace(shape, loops));
  svgd::ConvolutionWeightGradient(dy.get(), {factor.get(), false}, x.get(), result.dw.get(),
                                  result.db.get(), shape, workspace.get(), threads, loops);
  return result;
}

void Print(const ConvolutionShape& shape) {
  std::printf("batch %zu groups %zu channels %zu outputs %zu", shape.batch, shape.groups,
              shape.channels, shape.outputs);
  for (const ConvolutionAxis& axis : shape.axes) {
    std::printf(" (in %d out %d kernel %d stride %d dilation %d pad %d)", static_cast<int>(axis.in),
                static_cast<int>(axis.out), static_cast<int>(axis.kernel),
                static_cast<int>(axis.stride), static_cast<int>(axis.dilation),
                static_cast<int>(axis.pad));
  }
}

bool Case(Random& random) {
  const ConvolutionShape shape = RandomShape(random);
  const auto tensors = svgd::tests::RandomTensors(shape, static_cast<unsigned>(random()));
  const auto expected = svgd::tests::Reference(shape, tensors);
  const auto set = static_cast<InstructionSet>(From(random, 0, static_cast<int>(svgd::Widest())));
  const auto& loops = svgd::convolution::LoopsFor(set);
  const Result result = Run(shape, tensors, loops, InOrder);
  const Result again = Run(shape, tensors, loops, InReverse);
  const double error =
      std::max({svgd::tests::Error(result.y.get(), expected.y, expected.y_sizes),
                svgd::tests::Error(result.dx.get(), expected.dx, expected.dx_sizes),
                svgd::tests::Error(result.dw.get(), expected.dw, expected.dw_sizes),
                svgd::tests::Error(result.db.get(), expected.db, expected.db_sizes)});
  const bool right = error < 2e-6 && Same(result.y, again.y, expected.y.size()) &&
                     Same(result.dx, again.dx, expected.dx.size()) &&
                     Same(result.dw, again.dw, expected.dw.size()) &&
                     Same(result.db, again.db, expected.db.size());
  if (!right) {
    Print(shape);
    std::printf(" set %d error %g: ", static_cast<int>(set), error);
  }
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  return svgd::tests::Fuzz(argc, argv, "convolution",
                           [](Random& random, size_t) { return Case(random); });
}
