// A convolution over pixels, as Y and as each phase of dX are one: an output pixel is a sum over
// taps, each of which sees one input pixel.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "convolution.h"
#include "cpu/convolution/loops.h"
#include "cpu/tasks.h"

namespace svgd::convolution {

// Pixel t, at out_first + t * out_stride of the output, sees for each tap j below `taps` what lies
// at first + t * stride + j * step of the input (zeros outside), times the weights of the kernel's
// element tap_first + j * tap_step.
struct PassAxis {
  int64_t pixels, stride, first, step, taps;
  int64_t in, out;  // sizes of the arrays
  int64_t out_first, out_stride;
  int64_t kernel, tap_first, tap_step;
};

// Where the weights of an output, an input channel and the kernel's element are.
struct WeightPitches {
  size_t group, output, channel;
};

struct Pass {
  std::array<PassAxis, kMostAxes> axes;
  size_t batch, groups, channels, outputs;  // channels and outputs of a group
  WeightPitches pitches;
  size_t joined = 1;  // groups of the weights that are one of the pass, with zeros between them

  size_t taps() const;
  size_t pixels() const;     // of the whole batch
  size_t in_pixels() const;  // of an example
  size_t out_pixels() const;
};

// The kernel's elements that its taps are, in their order.
std::vector<size_t> Elements(const Pass& pass);

// The pass that makes Y.
Pass ForwardPass(const ConvolutionShape& shape);

// Those that together make dX: where the stride is s, dX's pixels of each remainder see other
// elements of the kernel. Pixels that see none are not among them, and are zero.
std::vector<Pass> InputGradientPasses(const ConvolutionShape& shape);

// How many groups are best taken as one: small ones, together, fill a narrow panel.
size_t GroupsTogether(size_t groups, size_t outputs, const LoopsOfSet& loops);

// Numbers that the weights of a pass take, packed.
size_t PackedWeights(const Pass& pass, const LoopsOfSet& loops);

// Packs the weights of the passes into `packed`, and runs them; bias may be null.
void RunPasses(const std::vector<Pass>& passes, const float* in, const float* weights,
               const float* bias, float* out, float* packed, const LoopsOfSet& loops,
               const Threads& threads);

}  // namespace svgd::convolution
