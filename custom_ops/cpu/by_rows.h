// T where rows are many: they are cut into chunks, each with sums of its own, and dy is read once
// more for the scaling. Short rows are taken several at a time, as one row with several columns for
// each of its own.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/traversal.h"

namespace svgd {

template <typename Element>
class ByRows {
 public:
  using Number = Compute<Element>;

  explicit ByRows(const Traversal<Element>& shared) : shared_(shared) {}

  void Run() {
    together_ = std::max(size_t{1}, kShortRow / shared_.columns);
    width_ = together_ * shared_.columns;
    const size_t wide_rows = shared_.outer / together_;
    chunk_rows_ = std::max(kRunRows, kChunkElements / width_ / kRunRows * kRunRows);
    chunks_ = std::max(size_t{1}, DivideUp(wide_rows, chunk_rows_));
    std::vector<Number> partial(chunks_ * width_);
    std::vector<Number> plain(shared_.sums == nullptr ? 0 : partial.size());
    partial_ = partial.data();
    plain_ = shared_.sums == nullptr ? nullptr : plain.data();
    shared_.template ForEach<&ByRows::SumChunk>(chunks_, this);
    JoinChunks(&partial);
    JoinChunks(&plain);
    // Rows that do not fill a wide one lie at the end and fill its first columns.
    const size_t rest = shared_.outer * shared_.columns - wide_rows * width_;
    shared_.loops.sum_squares(shared_.dy + wide_rows * width_, 1, 0, rest, partial_, plain_);
    JoinRows(&partial);
    JoinRows(&plain);
    if (plain_ != nullptr) std::copy(plain_, plain_ + shared_.columns, shared_.sums);
    const auto part = shared_.Begin(0, shared_.channels);
    shared_.Update(part, 0, shared_.columns, partial_);
    shared_.End(part, shared_.channels);
    if (shared_.out == nullptr) return;
    for (size_t row = 1; row < together_; ++row) {
      std::copy(partial_, partial_ + shared_.columns, partial_ + row * shared_.columns);
    }
    shared_.template ForEach<&ByRows::ScaleChunk>(chunks_, this);
    shared_.loops.scale(shared_.dy + wide_rows * width_, shared_.out + wide_rows * width_, 1, 0,
                        rest, partial_);
  }

 private:
  // What belongs to the same column of a wide row.
  void JoinChunks(std::vector<Number>* sums) const {
    for (size_t chunk = width_; chunk < sums->size(); chunk += width_) {
      for (size_t c = 0; c < width_; ++c) (*sums)[c] += (*sums)[chunk + c];
    }
  }

  // What belongs to the same column of a row, of the first chunk.
  void JoinRows(std::vector<Number>* sums) const {
    if (sums->empty()) return;
    for (size_t row = shared_.columns; row < width_; row += shared_.columns) {
      for (size_t c = 0; c < shared_.columns; ++c) (*sums)[c] += (*sums)[row + c];
    }
  }

  void SumChunk(size_t chunk) {
    const size_t first = chunk * chunk_rows_;
    const size_t last = std::min(first + chunk_rows_, shared_.outer / together_);
    for (size_t begin = 0; begin < width_; begin += kLongRow) {
      shared_.SumOfRuns(last - first, shared_.dy + first * width_ + begin,
                        static_cast<std::ptrdiff_t>(width_), std::min(kLongRow, width_ - begin),
                        partial_ + chunk * width_ + begin,
                        plain_ == nullptr ? nullptr : plain_ + chunk * width_ + begin);
    }
  }

  // What was summed last is in cache, so the last chunk comes first.
  void ScaleChunk(size_t index) {
    const size_t first = (chunks_ - 1 - index) * chunk_rows_;
    const size_t last = std::min(first + chunk_rows_, shared_.outer / together_);
    const size_t place = first * width_;
    shared_.loops.scale(shared_.dy + place, shared_.out + place, last - first,
                        static_cast<std::ptrdiff_t>(width_), width_, partial_);
  }

  const Traversal<Element>& shared_;
  size_t together_ = 0;    // rows that make a wide one
  size_t width_ = 0;       // its elements
  size_t chunk_rows_ = 0;  // wide rows of a chunk
  size_t chunks_ = 0;
  Number* partial_ = nullptr;  // (chunks, width): sums of squares; in row 0 the factors
  Number* plain_ = nullptr;    // those of dY, or null
};

}  // namespace svgd
