#include "cpu/matrix_product_kernel.h"

#include <algorithm>

#include "cpu/thread_memory.h"

namespace svgd {
namespace {

// Of a tile's sums before they go to memory: so much of a panel of A stays in the first cache.
constexpr size_t kDepth = 384;
// Columns of B that a task goes through for each panel of A; they stay in the second cache. A
// multiple of every tile's.
constexpr size_t kColumns = 192;
// Numbers of each factor that are packed at once for all tasks, which stay in the last cache.
constexpr size_t kPacked = 1024 * 1024;
// So many tasks at least, that threads end together, where each has so many rows.
constexpr size_t kTasks = 16, kRows = 96;
// Rows or columns that are packed together: they lie beside each other.
constexpr size_t kTogether = 192;
// So many products are a task each.
constexpr size_t kManyProducts = 16;

// What is cut into as few pieces as there must be, of about one size: a multiple of the unit.
size_t EvenPiece(size_t whole, size_t most, size_t unit) {
  return RoundUp(DivideUp(whole, DivideUp(whole, most)), unit);
}

// One product of the batch. No size is 0.
class Product {
 public:
  Product(const float* a, const float* b, const float* bias, float* c, const ProductShape& shape,
          const MatrixProductLoops& loops)
      : a_(a), b_(b), bias_(bias), c_(c), shape_(shape), loops_(loops) {
    slice_ = EvenPiece(shape.depth, kDepth, 1);
    const size_t most = std::max(kPacked / slice_, kColumns);
    block_ = EvenPiece(shape.rows, most, loops.rows);
    const size_t row_parts = DivideUp(std::min(block_, shape.rows), kRows);
    // narrower where there would be fewer tasks than threads may want
    const size_t narrow = DivideUp(shape.columns, DivideUp(kTasks, row_parts));
    part_ = EvenPiece(shape.columns, std::clamp(narrow, loops.columns, kColumns), loops.columns);
    whole_ = std::max(most / part_, size_t{1}) * part_;
  }

  // Numbers of both factors that are packed at once for all tasks, and of B for each of them.
  size_t packed() const {
    return slice_ * (block_ + std::min(whole_, RoundUp(shape_.columns, loops_.columns)));
  }
  size_t packed_by_task() const { return slice_ * part_; }

  // With for_each(count, work, body(index)), and memory() for what a task packs.
  template <typename ForEach, typename Memory>
  void Run(float* packed, const ForEach& for_each, const Memory& memory) {
    packed_a_ = packed;
    packed_b_ = packed + slice_ * block_;
    for (size_t row = 0; row < shape_.rows; row += block_) {
      for (size_t first = 0; first < shape_.depth; first += slice_) {
        const Piece rows{row, std::min(block_, shape_.rows - row)};
        const Piece depth{first, std::min(slice_, shape_.depth - first)};
        ForEachPiece(for_each, rows, depth, RoundUp(kTogether, loops_.rows),
                     [&](const Piece& some) { PackA(rows, depth, some); });
        for (size_t column = 0; column < shape_.columns; column += whole_) {
          RunSlab({rows, depth, {column, std::min(whole_, shape_.columns - column)}}, for_each,
                  memory);
        }
      }
    }
  }

 private:
  // Of an axis.
  struct Piece {
    size_t first, count;
  };
  // What is packed at once, of A's rows, both factors' depth and B's columns.
  struct Slab {
    Piece rows, depth, columns;
  };

  // body(piece) for what some rows or columns are cut into.
  template <typename ForEach, typename Body>
  static void ForEachPiece(const ForEach& for_each, const Piece& whole, const Piece& depth,
                           size_t size, const Body& body) {
    for_each(DivideUp(whole.count, size), whole.count * depth.count, [&](size_t index) {
      body(Piece{index * size, std::min(size, whole.count - index * size)});
    });
  }

  template <typename ForEach, typename Memory>
  void RunSlab(const Slab& slab, const ForEach& for_each, const Memory& memory) const {
    const size_t parts = DivideUp(slab.columns.count, part_);
    const size_t wanted = std::min(DivideUp(slab.rows.count, kRows), DivideUp(kTasks, parts));
    const size_t rows = EvenPiece(slab.rows.count, DivideUp(slab.rows.count, wanted), loops_.rows);
    // what one task alone reads it packs itself, and finds in its caches
    const bool is_shared = rows < slab.rows.count;
    if (is_shared) {
      ForEachPiece(for_each, slab.columns, slab.depth, part_,
                   [&](const Piece& some) { PackB(slab, some, PackedB(slab, some)); });
    }
    const size_t work = slab.rows.count * slab.columns.count * slab.depth.count / 8;
    for_each(parts * DivideUp(slab.rows.count, rows), work, [&](size_t task) {
      const size_t row = task / parts * rows, column = task % parts * part_;
      const Piece of_rows{row, std::min(rows, slab.rows.count - row)};
      const Piece of_columns{column, std::min(part_, slab.columns.count - column)};
      float* b = is_shared ? PackedB(slab, of_columns) : memory();
      if (!is_shared) PackB(slab, of_columns, b);
      RunTask(slab, of_rows, of_columns, b);
    });
  }

  float* PackedB(const Slab& slab, const Piece& columns) const {
    return packed_b_ + columns.first * slab.depth.count;
  }

  void PackA(const Piece& rows, const Piece& depth, const Piece& some) const {
    const size_t row = rows.first + some.first;
    float* to = packed_a_ + some.first * depth.count;
    if (shape_.transposed_a) {
      loops_.pack_a.as_it_is(
          {a_ + depth.first * shape_.rows + row, shape_.rows, some.count, depth.count, to});
    } else {
      loops_.pack_a.turned(
          {a_ + row * shape_.depth + depth.first, shape_.depth, some.count, depth.count, to});
    }
  }

  void PackB(const Slab& slab, const Piece& some, float* to) const {
    const size_t column = slab.columns.first + some.first, k = slab.depth.first;
    if (shape_.transposed_b) {
      loops_.pack_b.turned(
          {b_ + column * shape_.depth + k, shape_.depth, some.count, slab.depth.count, to});
    } else {
      loops_.pack_b.as_it_is(
          {b_ + k * shape_.columns + column, shape_.columns, some.count, slab.depth.count, to});
    }
  }

  void RunTask(const Slab& slab, const Piece& rows, const Piece& columns, const float* b) const {
    const bool is_first = slab.depth.first == 0;
    const size_t column = slab.columns.first + columns.first, depth = slab.depth.count;
    for (size_t i = 0; i < rows.count; i += loops_.rows) {
      const float* a = packed_a_ + (rows.first + i) * depth;
      float* c = c_ + (slab.rows.first + rows.first + i) * shape_.columns + column;
      for (size_t j = 0; j < columns.count; j += loops_.columns) {
        loops_.run({a, b + j * depth, depth, c + j, shape_.columns,
                    std::min(loops_.rows, rows.count - i),
                    std::min(loops_.columns, columns.count - j), !is_first,
                    is_first && bias_ != nullptr ? bias_ + column + j : nullptr});
      }
    }
  }

  const float* a_;
  const float* b_;
  const float* bias_;
  float* c_;
  const ProductShape& shape_;
  const MatrixProductLoops& loops_;
  size_t slice_, block_, part_, whole_;
  float* packed_a_ = nullptr;  // panels, each (depth, a tile's rows), of the rows of a slab
  float* packed_b_ = nullptr;  // as well, of its columns
};

float* TaskMemory(size_t numbers) {
  return static_cast<float*>(ThreadMemory(numbers * sizeof(float)));
}

bool HasNoOutput(const ProductShape& shape) {
  return shape.batch == 0 || shape.rows == 0 || shape.columns == 0;
}

// What is left of a product of no depth.
void FillWithBias(const float* bias, float* c, const ProductShape& shape) {
  for (size_t row = 0; row < shape.batch * shape.rows; ++row, c += shape.columns) {
    if (bias == nullptr) {
      std::fill(c, c + shape.columns, 0.0F);
    } else {
      std::copy(bias, bias + shape.columns, c);
    }
  }
}

}  // namespace

size_t MatrixProductWorkspace(const ProductShape& shape, const MatrixProductLoops& loops) {
  if (HasNoOutput(shape) || shape.depth == 0 || shape.batch >= kManyProducts) return 0;
  return Product(nullptr, nullptr, nullptr, nullptr, shape, loops).packed();
}

void MatrixProduct(const float* a, const float* b, const float* bias, float* c,
                   const ProductShape& shape, float* workspace, const Threads& threads,
                   const MatrixProductLoops& loops) {
  if (HasNoOutput(shape)) return;
  if (shape.depth == 0) return FillWithBias(bias, c, shape);
  const auto product = [&](size_t index) {
    return Product(a + index * shape.depth * shape.rows, b + index * shape.depth * shape.columns,
                   bias, c + index * shape.rows * shape.columns, shape, loops);
  };
  if (shape.batch < kManyProducts) {
    const auto for_each = [&](size_t count, size_t work, const auto& body) {
      threads.ForEach(count, work, body);
    };
    for (size_t index = 0; index < shape.batch; ++index) {
      Product one = product(index);
      one.Run(workspace, for_each, [&one] { return TaskMemory(one.packed_by_task()); });
    }
    return;
  }
  const auto here = [](size_t count, size_t, const auto& body) {
    for (size_t index = 0; index < count; ++index) body(index);
  };
  const size_t work = shape.batch * shape.rows * shape.columns * shape.depth / 8;
  threads.ForEach(shape.batch, work, [&](size_t index) {
    Product one = product(index);
    float* memory = TaskMemory(one.packed() + one.packed_by_task());
    one.Run(memory, here, [&] { return memory + one.packed(); });
  });
}

}  // namespace svgd
