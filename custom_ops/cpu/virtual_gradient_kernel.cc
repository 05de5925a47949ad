#include "cpu/virtual_gradient_kernel.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "cpu/virtual_gradient_loops.h"

namespace svgd {
namespace {

// A block of columns is read twice, for its sums and for its scaling, and has to stay in cache in
// between: at most so many elements.
constexpr size_t kBlockElements = 256 * 1024;
// Its rows are short while the whole tensor lies in the last-level cache, and long enough for the
// memory's prefetching where it does not.
constexpr size_t kShortRow = 256;
constexpr size_t kLongRow = 1024;
constexpr size_t kCachedBytes = 16 * 1024 * 1024;
// Blocks of a task, if there are enough for some tasks.
constexpr size_t kTaskBlocks = 8;
constexpr size_t kTasks = 16;
// Rows whose squares are added up before they join the sum, so that rounding errors stay small.
constexpr size_t kRunRows = 128;
// More rows than these are cut into chunks of rows instead.
constexpr size_t kMaxBlockRows = 1024;
constexpr size_t kChunkElements = 32 * 1024;
// Tensors below this are done by the calling thread: waking another costs more.
constexpr size_t kInlineElements = 16 * 1024;

size_t DivideUp(size_t a, size_t b) { return (a + b - 1) / b; }

template <typename Element>
class Kernel {
 public:
  using Number = Compute<Element>;

  Kernel(const Element* dy, const Number* r, Element* out, Number* r_new, Number* factors,
         const VirtualGradientShape& shape, const VirtualGradientAttributes& attributes,
         ParallelFor parallel_for, void* context)
      : dy_(dy),
        r_(r),
        out_(out),
        r_new_(r_new),
        factors_(factors),
        outer_(shape.outer),
        channels_(shape.channels),
        inner_(shape.inner),
        columns_(shape.channels * shape.inner),
        attributes_(attributes),
        parallel_for_(parallel_for),
        context_(context),
        loops_(Loops<Element>(Widest())) {}

  void Run() {
    if (inner_ > kLongRow) {
      ByChannels();
    } else if (outer_ > kMaxBlockRows ||
               (columns_ < kShortRow && outer_ * columns_ > kChunkElements)) {
      ByRows();
    } else {
      ByColumns();
    }
  }

 private:
  // Calls a member function for each index below `count`.
  template <void (Kernel::*Body)(size_t)>
  void ForEach(size_t count) {
    if (count == 1 || outer_ * channels_ * inner_ < kInlineElements) {
      for (size_t index = 0; index < count; ++index) (this->*Body)(index);
    } else {
      const Task task = [](void* self, size_t index) {
        (static_cast<Kernel*>(self)->*Body)(index);
      };
      parallel_for_(context_, task, count, this);
    }
  }

  // Updates r, and turns sums of squares, one for each column, into factors of dy.
  void Update(size_t begin, size_t count, Number* sums) const {
    const size_t channels = count / inner_;
    if (inner_ > 1) {
      for (size_t c = 0; c < channels; ++c) {
        sums[c] = std::accumulate(sums + c * inner_, sums + (c + 1) * inner_, Number{0});
      }
    }
    UpdateChannels(begin / inner_, channels, sums);
    if (inner_ > 1) {
      for (size_t c = channels; c-- > 0;) {  // from the end: what is still to be read lies before
        const Number factor = sums[c];
        std::fill(sums + c * inner_, sums + (c + 1) * inner_, factor);
      }
    }
  }

  void UpdateChannels(size_t begin, size_t count, Number* sums) const {
    const Number gradient_factor = attributes_.gradient_factor;
    const Number rho = attributes_.rho;
    const Number share =
        (1 - rho) * gradient_factor * gradient_factor / static_cast<Number>(outer_ * inner_);
    loops_.update(r_ + begin, r_new_ + begin, sums, count, rho, share, attributes_.scale,
                  attributes_.epsilon);
    if (factors_ != nullptr) std::copy(sums, sums + count, factors_ + begin);
  }

  // One example after another, a feature in each column: columns are cut into blocks, which stay in
  // cache from the sum to the scaling. A block is scaled while the next is summed, so that memory
  // is written and read at the same time.

  void ByColumns() {
    const size_t bytes = outer_ * columns_ * sizeof(Element);
    block_ = bytes <= kCachedBytes ? std::clamp(kChunkElements / outer_, kShortRow, kLongRow)
                                   : std::clamp(kBlockElements / outer_, kShortRow, kLongRow);
    block_ = std::max(block_ / inner_, size_t{1}) * inner_;
    const size_t blocks = DivideUp(columns_, block_);
    task_blocks_ = std::clamp(blocks / kTasks, size_t{1}, kTaskBlocks);
    ForEach<&Kernel::Columns>(DivideUp(blocks, task_blocks_));
  }

  void Columns(size_t task) {
    // The sums of two blocks, and of a run.
    Number storage[3][kLongRow];
    Number* current = storage[0];
    Number* next = storage[1];
    Number* run = storage[2];
    size_t begin = task * task_blocks_ * block_;
    const size_t end = std::min(begin + task_blocks_ * block_, columns_);
    Sum(begin, std::min(block_, end - begin), current, run, false);
    // Rows are taken backwards and forwards in turns: those that were read last are in cache.
    bool backwards = true;
    for (; begin + 2 * block_ <= end; begin += block_, backwards = !backwards) {
      if (out_ == nullptr) {
        Sum(begin + block_, block_, next, run, backwards);
      } else {
        ScaleAndSum(begin, current, next, run, backwards);
      }
      std::swap(current, next);
    }
    Scale(begin, std::min(block_, end - begin), current);
    begin += block_;
    if (begin < end) {  // a last, narrower block
      Sum(begin, end - begin, current, run, false);
      Scale(begin, end - begin, current);
    }
  }

  void Sum(size_t begin, size_t count, Number* sums, Number* run, bool backwards) const {
    const auto pitch = static_cast<std::ptrdiff_t>(columns_);
    if (backwards) {
      SumOfRuns(outer_, dy_ + (outer_ - 1) * columns_ + begin, -pitch, count, sums, run);
    } else {
      SumOfRuns(outer_, dy_ + begin, pitch, count, sums, run);
    }
    Update(begin, count, sums);
  }

  // The last rows first.
  void Scale(size_t begin, size_t count, const Number* factors) const {
    if (out_ == nullptr) return;
    const size_t last = (outer_ - 1) * columns_ + begin;
    loops_.scale(dy_ + last, out_ + last, outer_, -static_cast<std::ptrdiff_t>(columns_), count,
                 factors);
  }

  // Scales a block, and turns sums of squares of the next one into its factors.
  void ScaleAndSum(size_t begin, const Number* factors, Number* sums, Number* run,
                   bool backwards) const {
    const auto pitch = static_cast<std::ptrdiff_t>(columns_);
    std::fill(sums, sums + block_, Number{0});
    for (size_t row = 0; row < outer_; row += kRunRows) {
      const size_t rows = std::min(kRunRows, outer_ - row);
      const size_t place = (backwards ? outer_ - 1 - row : row) * columns_ + begin;
      std::fill(run, run + block_, Number{0});
      loops_.scale_and_sum(dy_ + place, out_ + place, factors, dy_ + place + block_, run, rows,
                           backwards ? -pitch : pitch, block_);
      for (size_t c = 0; c < block_; ++c) sums[c] += run[c];
    }
    Update(begin + block_, block_, sums);
  }

  // sums[c] = the sum of squares over rows, run by run.
  void SumOfRuns(size_t rows, const Element* dy, std::ptrdiff_t pitch, size_t count, Number* sums,
                 Number* run) const {
    std::fill(sums, sums + count, Number{0});
    for (size_t row = 0; row < rows; row += kRunRows) {
      std::fill(run, run + count, Number{0});
      loops_.sum_squares(dy + static_cast<std::ptrdiff_t>(row) * pitch,
                         std::min(kRunRows, rows - row), pitch, count, run);
      for (size_t c = 0; c < count; ++c) sums[c] += run[c];
    }
  }

  // Many rows: they are cut into chunks, each with sums of its own, and dy is read once more for
  // the scaling. Short rows are taken several at a time, as one row with several columns for each
  // of its own.

  void ByRows() {
    together_ = std::max(size_t{1}, kShortRow / columns_);
    width_ = together_ * columns_;
    const size_t wide_rows = outer_ / together_;
    chunk_rows_ = std::max(kRunRows, kChunkElements / width_ / kRunRows * kRunRows);
    chunks_ = std::max(size_t{1}, DivideUp(wide_rows, chunk_rows_));
    std::vector<Number> partial(chunks_ * width_);
    partial_ = partial.data();
    ForEach<&Kernel::SumChunk>(chunks_);
    for (size_t chunk = 1; chunk < chunks_; ++chunk) {
      for (size_t c = 0; c < width_; ++c) partial[c] += partial[chunk * width_ + c];
    }
    // Rows that do not fill a wide one lie at the end and fill its first columns.
    const size_t rest = outer_ * columns_ - wide_rows * width_;
    loops_.sum_squares(dy_ + wide_rows * width_, 1, 0, rest, partial_);
    for (size_t row = 1; row < together_; ++row) {
      for (size_t c = 0; c < columns_; ++c) partial[c] += partial[row * columns_ + c];
    }
    Update(0, columns_, partial_);
    if (out_ == nullptr) return;
    for (size_t row = 1; row < together_; ++row) {
      std::copy(partial_, partial_ + columns_, partial_ + row * columns_);
    }
    ForEach<&Kernel::ScaleChunk>(chunks_);
    loops_.scale(dy_ + wide_rows * width_, out_ + wide_rows * width_, 1, 0, rest, partial_);
  }

  void SumChunk(size_t chunk) {
    Number run[kLongRow];
    const size_t first = chunk * chunk_rows_;
    const size_t last = std::min(first + chunk_rows_, outer_ / together_);
    for (size_t begin = 0; begin < width_; begin += kLongRow) {
      SumOfRuns(last - first, dy_ + first * width_ + begin, static_cast<std::ptrdiff_t>(width_),
                std::min(kLongRow, width_ - begin), partial_ + chunk * width_ + begin, run);
    }
  }

  // What was summed last is in cache, so the last chunk comes first.
  void ScaleChunk(size_t index) {
    const size_t first = (chunks_ - 1 - index) * chunk_rows_;
    const size_t last = std::min(first + chunk_rows_, outer_ / together_);
    const size_t place = first * width_;
    loops_.scale(dy_ + place, out_ + place, last - first, static_cast<std::ptrdiff_t>(width_),
                 width_, partial_);
  }

  // Channels with long rows, one in each example. A channel may not fit into the caches nearby: it
  // is scaled from its last row on, and the next is left alone until then, so that as much of it as
  // possible is still in the last one.

  void ByChannels() {
    task_blocks_ = std::clamp(channels_ / kTasks, size_t{1}, kTaskBlocks);
    ForEach<&Kernel::Channels>(DivideUp(channels_, task_blocks_));
  }

  void Channels(size_t task) {
    const size_t begin = task * task_blocks_;
    const size_t end = std::min(begin + task_blocks_, channels_);
    for (size_t channel = begin; channel < end; ++channel) {
      double sum = 0;
      for (size_t i = 0; i < outer_; ++i) {
        const size_t place = (i * channels_ + channel) * inner_;
        sum += static_cast<double>(loops_.sum_squares_of_row(dy_ + place, inner_));
      }
      auto factor = static_cast<Number>(sum);
      UpdateChannels(channel, 1, &factor);
      if (out_ == nullptr) continue;
      for (size_t i = outer_; i-- > 0;) {
        const size_t place = (i * channels_ + channel) * inner_;
        loops_.scale_row(dy_ + place, out_ + place, inner_, factor);
      }
    }
  }

  const Element* dy_;
  const Number* r_;
  Element* out_;
  Number* r_new_;
  Number* factors_;
  const size_t outer_, channels_, inner_;
  const size_t columns_;  // elements of an example
  const VirtualGradientAttributes attributes_;
  const ParallelFor parallel_for_;
  void* const context_;
  const VirtualGradientLoops<Element>& loops_;

  size_t block_ = 0;        // features or channels of a block
  size_t task_blocks_ = 0;  // blocks of a task
  size_t together_ = 0;     // rows that make a wide one
  size_t width_ = 0;        // its elements
  size_t chunk_rows_ = 0;   // wide rows of a chunk
  size_t chunks_ = 0;
  Number* partial_ = nullptr;  // (chunks, width): sums of squares; in row 0 the factors
};

}  // namespace

template <typename Element>
void VirtualGradient(const Element* dy, const Compute<Element>* r, Element* out,
                     Compute<Element>* r_new, Compute<Element>* factors,
                     const VirtualGradientShape& shape, const VirtualGradientAttributes& attributes,
                     ParallelFor parallel_for, void* context) {
  using Number = Compute<Element>;
  if (shape.channels == 0) return;
  if (shape.outer * shape.inner == 0) {
    if (r_new != r) std::copy(r, r + shape.channels, r_new);
    if (factors != nullptr) std::fill(factors, factors + shape.channels, Number{1});
    return;
  }
  Kernel<Element>(dy, r, out, r_new, factors, shape, attributes, parallel_for, context).Run();
}

#define SVGD_INSTANTIATE(Element)                                                              \
  template void VirtualGradient<Element>(                                                      \
      const Element*, const Compute<Element>*, Element*, Compute<Element>*, Compute<Element>*, \
      const VirtualGradientShape&, const VirtualGradientAttributes&, ParallelFor, void*);
SVGD_INSTANTIATE(float)
SVGD_INSTANTIATE(double)
SVGD_INSTANTIATE(Float16)
SVGD_INSTANTIATE(BFloat16)
#undef SVGD_INSTANTIATE

}  // namespace svgd
