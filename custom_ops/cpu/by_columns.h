// T where rows are few: one example after another, a feature in each column. Columns are cut into
// blocks, which stay in cache from the sum to the scaling. A block is scaled while the next is
// summed, so that memory is written and read at the same time.
#pragma once

#include <algorithm>
#include <utility>

#include "cpu/traversal.h"

namespace svgd {

// A block of columns is read twice, for its sums and for its scaling, and has to stay in cache in
// between: at most so many elements.
constexpr size_t kBlockElements = 256 * 1024;
constexpr size_t kLineOfR = 16;
// The size of a last-level cache.
constexpr size_t kCachedBytes = 16 * 1024 * 1024;

template <typename Element>
class ByColumns {
 public:
  using Number = Compute<Element>;
  using Part = typename Traversal<Element>::Part;

  explicit ByColumns(const Traversal<Element>& shared) : shared_(shared) {}

  void Run() {
    const size_t bytes = shared_.outer * shared_.columns * sizeof(Element);
    block_ = bytes <= kCachedBytes
                 ? std::clamp(kChunkElements / shared_.outer, kShortRow, kLongRow)
                 : std::clamp(kBlockElements / shared_.outer, kShortRow, kLongRow);
    block_ = std::max(block_ / shared_.inner, size_t{1}) * shared_.inner;
    const size_t blocks = DivideUp(shared_.columns, block_);
    task_columns_ = std::clamp(blocks / kTasks, size_t{1}, kTaskBlocks) * block_;
    if (shared_.in_turn()) {
      // Whole pixels, and as many as make a line of r where there are some for each task.
      const auto [channels, pixels] = shared_.of_r;
      const size_t line = std::clamp(DivideUp(pixels, kTasks), size_t{1}, kLineOfR);
      task_columns_ = std::max(block_ / channels, line) * channels;
    }
    shared_.template ForEach<&ByColumns::Columns>(DivideUp(shared_.columns, task_columns_), this);
  }

 private:
  void Columns(size_t task) {
    Number storage[2][kLongRow];  // the sums of two blocks
    Number* current = storage[0];
    Number* next = storage[1];
    size_t begin = task * task_columns_;
    const size_t end = std::min(begin + task_columns_, shared_.columns);
    const size_t channel = begin / shared_.inner, channels = (end - begin) / shared_.inner;
    const Part part = shared_.Begin(channel, channels);
    Sum(part, begin, std::min(block_, end - begin), current, false);
    // Rows are taken backwards and forwards in turns: those that were read last are in cache.
    bool backwards = true;
    for (; begin + 2 * block_ <= end; begin += block_, backwards = !backwards) {
      if (shared_.out == nullptr) {
        Sum(part, begin + block_, block_, next, backwards);
      } else {
        ScaleAndSum(part, begin, current, next, backwards);
      }
      std::swap(current, next);
    }
    Scale(begin, std::min(block_, end - begin), current);
    begin += block_;
    if (begin < end) {  // a last, narrower block
      Sum(part, begin, end - begin, current, false);
      Scale(begin, end - begin, current);
    }
    shared_.End(part, channels);
  }

  void Sum(const Part& part, size_t begin, size_t count, Number* sums, bool backwards) const {
    const auto pitch = static_cast<std::ptrdiff_t>(shared_.columns);
    const size_t first = backwards ? (shared_.outer - 1) * shared_.columns : 0;
    shared_.SumOfRuns(shared_.outer, shared_.dy + first + begin, backwards ? -pitch : pitch, count,
                      sums, Plain(begin));
    shared_.Update(part, begin, count, sums);
  }

  // The last rows first.
  void Scale(size_t begin, size_t count, const Number* factors) const {
    if (shared_.out == nullptr) return;
    const size_t last = (shared_.outer - 1) * shared_.columns + begin;
    shared_.loops.scale(shared_.dy + last, shared_.out + last, shared_.outer,
                        -static_cast<std::ptrdiff_t>(shared_.columns), count, factors);
  }

  // Scales a block, and turns sums of squares of the next one into its factors.
  void ScaleAndSum(const Part& part, size_t begin, const Number* factors, Number* sums,
                   bool backwards) const {
    const auto pitch = static_cast<std::ptrdiff_t>(shared_.columns);
    Runs<Number> runs(sums, Plain(begin + block_), block_);
    for (size_t row = 0; row < shared_.outer; row += kRunRows) {
      const size_t rows = std::min(kRunRows, shared_.outer - row);
      const size_t place = (backwards ? shared_.outer - 1 - row : row) * shared_.columns + begin;
      runs.Begin();
      shared_.loops.scale_and_sum(shared_.dy + place, shared_.out + place, factors,
                                  shared_.dy + place + block_, runs.squares(), runs.plain(), rows,
                                  backwards ? -pitch : pitch, block_);
      runs.End();
    }
    shared_.Update(part, begin + block_, block_, sums);
  }

  // Where the sums of dY from a column on go.
  Number* Plain(size_t column) const {
    return shared_.sums == nullptr ? nullptr : shared_.sums + column;
  }

  const Traversal<Element>& shared_;
  size_t block_ = 0;         // columns of a block
  size_t task_columns_ = 0;  // of a task
};

}  // namespace svgd
