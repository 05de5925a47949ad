#include "cpu/virtual_gradient_kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace svgd {
namespace {

// Elements that stay in the L2 cache between the two passes over them: 128 KiB.
constexpr size_t kBlockElements = 32 * 1024;
// Rows are read in runs of at least so many features (two cache lines).
constexpr size_t kMinBlockFeatures = 32;
// A block's sums, on the stack.
constexpr size_t kMaxBlockFeatures = 1024;
// Rows whose squares are added up before they join the sum, so that rounding errors stay small.
constexpr size_t kRunRows = 128;
// Parallel sums of a row of one channel.
constexpr size_t kLanes = 16;
// Tensors below this are done by the calling thread: waking another costs more.
constexpr size_t kInlineElements = 16 * 1024;

struct Work {
  const float* dy;
  const float* r;
  float* out;
  float* r_new;
  size_t batch;     // outer
  size_t features;  // channels
  size_t inner;
  VirtualGradientAttributes attributes;
  size_t block_features;  // features of a block
  size_t chunk_rows;      // rows of a chunk
  float* partial;         // (chunks, features): sums of squares, then in row 0 the factors
};

// sums[f] = sum over rows of dy[row, begin + f]^2
void SumSquares(const Work& work, size_t first_row, size_t last_row, size_t begin, size_t count,
                float* sums) {
  std::fill(sums, sums + count, 0.0F);
  float run[kMaxBlockFeatures];
  for (size_t start = first_row; start < last_row; start += kRunRows) {
    std::fill(run, run + count, 0.0F);
    for (size_t row = start; row < std::min(start + kRunRows, last_row); ++row) {
      const float* dy = work.dy + row * work.features + begin;
      for (size_t f = 0; f < count; ++f) run[f] += dy[f] * dy[f];
    }
    for (size_t f = 0; f < count; ++f) sums[f] += run[f];
  }
}

// Updates r, and turns sums of squares into factors of dy.
void UpdateAndFactor(const Work& work, size_t begin, size_t count, float* sums) {
  const float rho = work.attributes.rho;
  const float factor = work.attributes.gradient_factor;
  const float share = (1.0F - rho) * factor * factor / static_cast<float>(work.batch * work.inner);
  const float* r = work.r + begin;
  float* r_new = work.r_new + begin;
  for (size_t f = 0; f < count; ++f) {
    const float updated = rho * r[f] + share * sums[f];
    r_new[f] = updated;
    sums[f] = work.attributes.scale / std::sqrt(updated + work.attributes.epsilon);
  }
}

void Scale(const Work& work, size_t first_row, size_t last_row, size_t begin, size_t count,
           const float* factors) {
  for (size_t row = first_row; row < last_row; ++row) {
    const float* dy = work.dy + row * work.features + begin;
    float* out = work.out + row * work.features + begin;
    for (size_t f = 0; f < count; ++f) out[f] = dy[f] * factors[f];
  }
}

// All rows of a block of features, which stay in cache from the sum to the scaling.
void Block(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const size_t begin = index * work.block_features;
  const size_t count = std::min(work.block_features, work.features - begin);
  float sums[kMaxBlockFeatures];
  SumSquares(work, 0, work.batch, begin, count, sums);
  UpdateAndFactor(work, begin, count, sums);
  Scale(work, 0, work.batch, begin, count, sums);
}

float SumSquaresOfRow(const float* row, size_t count) {
  float lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += row[i + lane] * row[i + lane];
  }
  float sum = 0;
  for (; i < count; ++i) sum += row[i] * row[i];
  for (const float lane : lanes) sum += lane;
  return sum;
}

// All rows of one channel that has a row of its own in every example.
void Channel(void* data, size_t channel) {
  const Work& work = *static_cast<const Work*>(data);
  double total = 0;
  for (size_t n = 0; n < work.batch; ++n) {
    total += SumSquaresOfRow(work.dy + (n * work.features + channel) * work.inner, work.inner);
  }
  auto factor = static_cast<float>(total);
  UpdateAndFactor(work, channel, 1, &factor);
  for (size_t n = 0; n < work.batch; ++n) {
    const size_t row = (n * work.features + channel) * work.inner;
    for (size_t i = 0; i < work.inner; ++i) work.out[row + i] = work.dy[row + i] * factor;
  }
}

// All features of a chunk of rows: its share of the sums, and later its scaling.
void SumChunk(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const size_t first = index * work.chunk_rows;
  SumSquares(work, first, std::min(first + work.chunk_rows, work.batch), 0, work.features,
             work.partial + index * work.features);
}

void ScaleChunk(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const size_t first = index * work.chunk_rows;
  Scale(work, first, std::min(first + work.chunk_rows, work.batch), 0, work.features, work.partial);
}

size_t DivideUp(size_t a, size_t b) { return (a + b - 1) / b; }

void Run(const Work& work, Task task, size_t count, ParallelFor parallel_for, void* context) {
  void* data = const_cast<Work*>(&work);
  if (count == 1 || work.batch * work.features * work.inner < kInlineElements) {
    for (size_t index = 0; index < count; ++index) task(data, index);
  } else {
    parallel_for(context, task, count, data);
  }
}

}  // namespace

void VirtualGradient(const float* dy, const float* r, float* out, float* r_new,
                     const VirtualGradientShape& shape, const VirtualGradientAttributes& attributes,
                     ParallelFor parallel_for, void* context) {
  const auto [batch, features, inner] = shape;
  if (batch * inner == 0) {
    if (r_new != r) std::copy(r, r + features, r_new);
    return;
  }
  if (features == 0) return;
  Work work{dy, r, out, r_new, batch, features, inner, attributes, 0, 0, nullptr};

  if (inner > 1) {
    Run(work, Channel, features, parallel_for, context);
    return;
  }
  // Few features and many rows: cut the rows instead, or there would be one block.
  if (features <= kMinBlockFeatures * 4 && batch * features > kBlockElements) {
    work.chunk_rows = DivideUp(kBlockElements / 2, features);
    const size_t chunks = DivideUp(batch, work.chunk_rows);
    std::vector<float> partial(chunks * features);
    work.partial = partial.data();
    Run(work, SumChunk, chunks, parallel_for, context);
    for (size_t chunk = 1; chunk < chunks; ++chunk) {
      for (size_t f = 0; f < features; ++f) partial[f] += partial[chunk * features + f];
    }
    UpdateAndFactor(work, 0, features, partial.data());
    Run(work, ScaleChunk, chunks, parallel_for, context);
    return;
  }
  const size_t fitting = kBlockElements / batch / kMinBlockFeatures * kMinBlockFeatures;
  work.block_features = std::clamp(fitting, kMinBlockFeatures, kMaxBlockFeatures);
  Run(work, Block, DivideUp(features, work.block_features), parallel_for, context);
}

}  // namespace svgd
