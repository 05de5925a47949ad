// One run of T over dy on the processor: the arrays, the threads that share the work, and what its
// three ways through dy have in common. by_columns.h, by_rows.h and by_channels.h are these ways.
#pragma once

#include <algorithm>
#include <numeric>

#include "cpu/tasks.h"
#include "cpu/thread_memory.h"
#include "cpu/turned.h"
#include "cpu/virtual_gradient_kernel.h"
#include "cpu/virtual_gradient_loops.h"

namespace svgd {

// Rows of a block are short while the whole tensor lies in the last-level cache, and long enough
// for the memory's prefetching where it does not.
constexpr size_t kShortRow = 256;
constexpr size_t kLongRow = 1024;
// Rows whose squares are added up before they join the sum, so that rounding errors stay small.
constexpr size_t kRunRows = 128;
constexpr size_t kChunkElements = 32 * 1024;
// Blocks of a task, if there are enough for some tasks.
constexpr size_t kTaskBlocks = 8;
constexpr size_t kTasks = 16;
// Tensors below this are done by the calling thread: waking another costs more.
constexpr size_t kInlineElements = 16 * 1024;

// Sums of squares over rows, and of the numbers themselves where `plain` is not null: of so many
// rows at a time, which then join the rest.
template <typename Number>
class Runs {
 public:
  Runs(Number* squares, Number* plain, size_t count)
      : squares_(squares), plain_(plain), count_(count) {
    std::fill(squares, squares + count, Number{0});
    if (plain != nullptr) std::fill(plain, plain + count, Number{0});
  }

  void Begin() {
    std::fill(run_, run_ + count_, Number{0});
    if (plain_ != nullptr) std::fill(plain_run_, plain_run_ + count_, Number{0});
  }
  void End() {
    for (size_t c = 0; c < count_; ++c) squares_[c] += run_[c];
    for (size_t c = 0; plain_ != nullptr && c < count_; ++c) plain_[c] += plain_run_[c];
  }

  // What the loops add to.
  Number* squares() { return run_; }
  Number* plain() { return plain_ == nullptr ? nullptr : plain_run_; }

 private:
  Number* squares_;
  Number* plain_;
  size_t count_;
  Number run_[kLongRow], plain_run_[kLongRow];
};

template <typename Element>
struct Traversal {
  using Number = Compute<Element>;

  const Element* dy;
  const Number* r;
  Element* out;
  Number* r_new;
  Number* factors;
  Number* sums;
  size_t outer, channels, inner;
  Turned of_r;
  size_t columns;  // elements of an example
  VirtualGradientAttributes attributes;
  ParallelFor parallel_for;
  void* context;
  const VirtualGradientLoops<Element>& loops;

  // Calls a member function of `way` for each index below `count`.
  template <auto Body, typename Way>
  void ForEach(size_t count, Way* way) const {
    if (count == 1 || outer * columns < kInlineElements) {
      for (size_t index = 0; index < count; ++index) (way->*Body)(index);
    } else {
      const Threads threads{parallel_for, context};
      threads.ForEach(count, kSmallWork, [way](size_t index) { (way->*Body)(index); });
    }
  }

  // r of the channels from `first` on, in the order that dy has them in: where it lies, or, where
  // it lies in turn, in the thread's memory in between.
  struct Part {
    size_t first;
    const Number* r;
    Number* r_new;
  };

  bool in_turn() const { return of_r.channels > 1 && of_r.pixels > 1; }

  Part Begin(size_t first, size_t count) const {
    if (!in_turn()) return {first, r + first, r_new + first};
    auto* turned = static_cast<Number*>(ThreadMemory(count * sizeof(Number)));
    of_r.Read(r, first, count, turned);
    return {first, turned, turned};
  }

  void End(const Part& part, size_t count) const {
    if (in_turn()) of_r.Write(part.r_new, part.first, count, r_new);
  }

  // Updates r, and turns sums of squares, one for each column, into factors of dy.
  void Update(const Part& part, size_t begin, size_t count, Number* sums) const {
    const size_t updated = count / inner;
    if (inner > 1) {
      for (size_t c = 0; c < updated; ++c) {
        sums[c] = std::accumulate(sums + c * inner, sums + (c + 1) * inner, Number{0});
      }
    }
    UpdateChannels(part, begin / inner, updated, sums);
    if (inner > 1) {
      for (size_t c = updated; c-- > 0;) {  // from the end: what is still to be read lies before
        const Number factor = sums[c];
        std::fill(sums + c * inner, sums + (c + 1) * inner, factor);
      }
    }
  }

  void UpdateChannels(const Part& part, size_t begin, size_t count, Number* sums) const {
    const Number batch_factor = attributes.batch_factor;
    const Number rho = attributes.rho;
    const Number share =
        (1 - rho) * batch_factor * batch_factor / static_cast<Number>(outer * inner);
    const size_t place = begin - part.first;
    loops.update(part.r + place, part.r_new + place, sums, count, rho, share, attributes.scale,
                 attributes.epsilon);
    if (factors != nullptr) std::copy(sums, sums + count, factors + begin);
  }

  // squares[c] = the sum of squares over rows, run by run; and plain[c] that of the numbers
  // themselves, where `plain` is not null.
  void SumOfRuns(size_t rows, const Element* first, std::ptrdiff_t pitch, size_t count,
                 Number* squares, Number* plain) const {
    Runs<Number> runs(squares, plain, count);
    for (size_t row = 0; row < rows; row += kRunRows) {
      runs.Begin();
      loops.sum_squares(first + static_cast<std::ptrdiff_t>(row) * pitch,
                        std::min(kRunRows, rows - row), pitch, count, runs.squares(), runs.plain());
      runs.End();
    }
  }
};

}  // namespace svgd
