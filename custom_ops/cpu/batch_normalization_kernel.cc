#include "cpu/batch_normalization_kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/batch_normalization_loops.h"

namespace svgd {
namespace {

// Numbers of a block: what is read a second time is then still in the first cache, and sums of so
// few are exact enough in single precision.
constexpr size_t kBlockNumbers = 8 * 1024;
// Columns that loops go over side by side, at least: few channels are taken several rows at a time.
constexpr size_t kFewestColumns = 64;
// Blocks of a task.
constexpr size_t kTaskBlocks = 4;

// How rows are gone through: in blocks, several rows as one of `columns` columns.
struct Blocks {
  explicit Blocks(const NormalizedShape& its_shape)
      : shape(its_shape),
        together(std::max<size_t>(1, kFewestColumns / std::max<size_t>(1, shape.channels))),
        columns(together * shape.channels),
        rows(std::max<size_t>(1, kBlockNumbers / std::max<size_t>(1, columns)) * together),
        count(DivideUp(shape.rows, rows)) {}

  // Calls body(block, first row, number of rows) for each block.
  template <typename Body>
  void ForEach(const Threads& threads, const Body& body) const {
    const auto range = [&](size_t begin, size_t end) {
      for (size_t block = begin; block < std::min(end, count); ++block) {
        body(block, block * rows, std::min(rows, shape.rows - block * rows));
      }
    };
    threads.ForEach(DivideUp(count, kTaskBlocks), shape.rows * shape.channels,
                    [&](size_t task) { range(task * kTaskBlocks, (task + 1) * kTaskBlocks); });
  }

  // Calls body(first row, number of rows of `width` columns, width): whole ones, then what is left.
  template <typename Body>
  void Wide(size_t first, size_t number, const Body& body) const {
    const size_t whole = number / together;
    if (whole > 0) body(first, whole, columns);
    const size_t left = number - whole * together;
    if (left > 0) body(first + whole * together, left, shape.channels);
  }

  // An array with an entry for each channel, for each column.
  std::vector<float> Repeated(const std::vector<float>& channels) const {
    std::vector<float> wide(columns);
    for (auto to = wide.begin(); to != wide.end();) {
      to = std::copy(channels.begin(), channels.end(), to);
    }
    return wide;
  }

  // Sums of columns as those of channels.
  void Fold(const std::vector<float>& wide, double* sums) const {
    for (size_t c = 0; c < shape.channels; ++c) {
      double sum = 0;
      for (size_t i = c; i < columns; i += shape.channels) sum += static_cast<double>(wide[i]);
      sums[c] = sum;
    }
  }

  NormalizedShape shape;
  size_t together;
  size_t columns;
  size_t rows;
  size_t count;
};

// Means and sums of squares about them, of blocks and then of all (Chan, Golub and LeVeque 1979).
class Statistics {
 public:
  Statistics(const Blocks& blocks, const float* x, const Threads& threads)
      : blocks_(blocks),
        channels_(blocks.shape.channels),
        means_(blocks.count * channels_),
        squares_(blocks.count * channels_) {
    blocks.ForEach(threads, [&](size_t block, size_t first, size_t number) {
      OfBlock(x, block, first, number);
    });
  }

  // The mean of a channel, and the sum of squares about it.
  void Of(size_t channel, double* mean, double* squares) const {
    double total = 0, sum = 0;
    *mean = 0;
    for (size_t block = 0; block < blocks_.count; ++block) {
      const double number =
          static_cast<double>(std::min(blocks_.rows, blocks_.shape.rows - block * blocks_.rows));
      const double apart = means_[block * channels_ + channel] - *mean;
      const double both = total + number;
      *mean += apart * number / both;
      sum += squares_[block * channels_ + channel] + apart * apart * total * number / both;
      total = both;
    }
    *squares = sum;
  }

 private:
  void OfBlock(const float* x, size_t block, size_t first, size_t number) {
    const BatchNormalizationLoops& loops = LoopsOfBatchNormalization(Widest());
    std::vector<float> sums(blocks_.columns), mean(channels_);
    double* means = means_.data() + block * channels_;
    blocks_.Wide(first, number, [&](size_t row, size_t rows, size_t width) {
      loops.sum(x + row * channels_, rows, width, sums.data());
    });
    blocks_.Fold(sums, means);
    for (size_t c = 0; c < channels_; ++c) {
      mean[c] = static_cast<float>(means[c] / static_cast<double>(number));
    }
    const std::vector<float> wide = blocks_.Repeated(mean);
    std::fill(sums.begin(), sums.end(), 0.0F);
    blocks_.Wide(first, number, [&](size_t row, size_t rows, size_t width) {
      loops.sum_squares(x + row * channels_, rows, width, wide.data(), sums.data());
    });
    double* squares = squares_.data() + block * channels_;
    blocks_.Fold(sums, squares);
    for (size_t c = 0; c < channels_; ++c) {
      // about the mean itself, not its nearest single number
      const double exact = means[c] / static_cast<double>(number);
      const double off = exact - static_cast<double>(mean[c]);
      squares[c] -= off * off * static_cast<double>(number);
      means[c] = exact;
    }
  }

  const Blocks& blocks_;
  const size_t channels_;
  std::vector<double> means_, squares_;
};

}  // namespace

void BatchNormalization(const NormalizationInputs& in, const NormalizationOutputs& out,
                        const NormalizedShape& shape, const NormalizationAttributes& attributes,
                        const Threads& threads) {
  const Blocks blocks(shape);
  const Statistics statistics(blocks, in.x, threads);
  const size_t channels = shape.channels;
  std::vector<float> mean(channels), factor(channels), shift(in.shift, in.shift + channels);
  for (size_t c = 0; c < channels; ++c) {
    double exact_mean = 0, squares = 0;
    statistics.Of(c, &exact_mean, &squares);
    const double count = static_cast<double>(std::max<size_t>(1, shape.rows));
    const double variance = std::max(0.0, squares / count);
    const double inverse = 1 / std::sqrt(variance + static_cast<double>(attributes.epsilon));
    mean[c] = static_cast<float>(exact_mean);
    out.mean[c] = mean[c];
    out.inverse[c] = static_cast<float>(inverse);
    factor[c] = in.scale[c] * out.inverse[c];
    const float momentum = attributes.momentum;
    out.running_mean[c] = momentum * in.running_mean[c] + (1 - momentum) * mean[c];
    out.running_variance[c] =
        momentum * in.running_variance[c] + (1 - momentum) * static_cast<float>(variance);
  }
  mean = blocks.Repeated(mean), factor = blocks.Repeated(factor), shift = blocks.Repeated(shift);
  const Columns columns{mean.data(), factor.data(), shift.data()};
  const BatchNormalizationLoops& loops = LoopsOfBatchNormalization(Widest());
  blocks.ForEach(threads, [&](size_t, size_t first, size_t number) {
    blocks.Wide(first, number, [&](size_t row, size_t rows, size_t width) {
      const size_t place = row * channels;
      if (in.residual == nullptr) {
        loops.normalize(in.x + place, out.y + place, rows, width, columns, attributes.relu);
      } else {
        loops.normalize_and_add(in.x + place, in.residual + place, out.y + place, rows, width,
                                columns);
      }
    });
  });
}

void BatchNormalizationGradient(const NormalizationGradientInputs& in,
                                const NormalizationGradientOutputs& out,
                                const NormalizedShape& shape, const Threads& threads) {
  const Blocks blocks(shape);
  const size_t channels = shape.channels;
  const bool relu = in.shift != nullptr;
  const float* dy = in.y == nullptr ? in.dy : out.masked;
  std::vector<float> mean(in.mean, in.mean + channels), factor(channels), shift(channels);
  for (size_t c = 0; c < channels; ++c) factor[c] = in.scale[c] * in.inverse[c];
  if (relu) shift.assign(in.shift, in.shift + channels);
  mean = blocks.Repeated(mean), factor = blocks.Repeated(factor), shift = blocks.Repeated(shift);
  const Columns columns{mean.data(), factor.data(), shift.data()};
  const BatchNormalizationLoops& loops = LoopsOfBatchNormalization(Widest());

  std::vector<double> sums(blocks.count * channels), products(blocks.count * channels);
  blocks.ForEach(threads, [&](size_t block, size_t first, size_t number) {
    std::vector<float> sum(blocks.columns), product(blocks.columns);
    blocks.Wide(first, number, [&](size_t row, size_t rows, size_t width) {
      const size_t place = row * channels;
      if (in.y != nullptr) {
        loops.mask(in.dy + place, in.y + place, out.masked + place, rows * width);
      }
      loops.sum_gradients(dy + place, in.x + place, rows, width, columns, relu, sum.data(),
                          product.data());
    });
    blocks.Fold(sum, sums.data() + block * channels);
    blocks.Fold(product, products.data() + block * channels);
  });

  std::vector<float> of_x(channels), constant(channels);
  const double count = static_cast<double>(std::max<size_t>(1, shape.rows));
  for (size_t c = 0; c < channels; ++c) {
    double sum = 0, product = 0;
    for (size_t block = 0; block < blocks.count; ++block) {
      sum += sums[block * channels + c];
      product += products[block * channels + c];
    }
    const double inverse = static_cast<double>(in.inverse[c]);
    const double slope = static_cast<double>(in.scale[c]) * inverse;
    out.d_shift[c] = static_cast<float>(sum);
    out.d_scale[c] = static_cast<float>(product * inverse);
    of_x[c] = static_cast<float>(-slope * inverse * inverse * product / count);
    constant[c] = static_cast<float>(-slope * sum / count);
  }
  of_x = blocks.Repeated(of_x), constant = blocks.Repeated(constant);
  blocks.ForEach(threads, [&](size_t, size_t first, size_t number) {
    blocks.Wide(first, number, [&](size_t row, size_t rows, size_t width) {
      const size_t place = row * channels;
      loops.gradient(dy + place, in.x + place, out.dx + place, rows, width, columns, relu,
                     of_x.data(), constant.data());
    });
  });
}

}  // namespace svgd
