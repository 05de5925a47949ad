#include "cpu/transposed_product_kernel.h"

#include <algorithm>

#include "cpu/thread_memory.h"

namespace svgd {
namespace {

// Of a tile's sums before they go to memory: so much of a panel of B stays in the first cache.
constexpr size_t kDepth = 256;
// Of B what is packed at once stays in the last cache: so deep, and so many numbers.
constexpr size_t kSlab = 1024;
constexpr size_t kPacked = 1024 * 1024;
// Rows that a task packs of A, which stay in the second cache; fewer where they are few. Multiples
// of every tile's.
constexpr size_t kRows = 144, kFewRows = 48;
// So many tasks at least, that threads end together, where each has so many columns.
constexpr size_t kTasks = 16, kColumns = 128;
// So many products are a task each.
constexpr size_t kManyProducts = 16;

// What is cut into as few pieces as there must be, of about one size: a multiple of the unit.
size_t EvenPiece(size_t whole, size_t most, size_t unit) {
  return RoundUp(DivideUp(whole, DivideUp(whole, most)), unit);
}

// One product of the batch. No size is 0.
class Product {
 public:
  Product(const float* a, const float* b, float* c, const ProductShape& shape,
          const TransposedProductLoops& loops)
      : a_(a), b_(b), c_(c), shape_(shape), loops_(loops) {
    slab_ = EvenPiece(shape.depth, kSlab, 1);
    slice_ = EvenPiece(shape.columns, std::max(kColumns, kPacked / slab_), loops.columns);
    block_ = EvenPiece(shape.rows, shape.rows < kTasks * kRows ? kFewRows : kRows, loops.rows);
  }

  // Numbers of B, and of A for each task, that are packed at once.
  size_t packed_b() const { return slab_ * slice_; }
  size_t packed_a() const { return block_ * std::min(slab_, kDepth); }

  // With for_each(count, work, body(index)), and memory() for what a task packs of A.
  template <typename ForEach, typename Memory>
  void Run(float* packed_b, const ForEach& for_each, const Memory& memory) {
    packed_ = packed_b;
    for (size_t first = 0; first < shape_.depth; first += slab_) {
      for (size_t column = 0; column < shape_.columns; column += slice_) {
        const Slab slab{first, std::min(slab_, shape_.depth - first), column,
                        std::min(slice_, shape_.columns - column)};
        for_each(DivideUp(slab.columns, loops_.columns), slab.depth * slab.columns,
                 [&](size_t panel) { PackB(slab, panel * loops_.columns); });
        const size_t blocks = DivideUp(shape_.rows, block_);
        const size_t parts = std::min(DivideUp(slab.columns, kColumns), DivideUp(kTasks, blocks));
        const size_t part = EvenPiece(slab.columns, DivideUp(slab.columns, parts), loops_.columns);
        for_each(blocks * parts, shape_.rows * slab.columns * slab.depth / 8, [&](size_t task) {
          const size_t begin = task % parts * part;
          const size_t end = std::min(slab.columns, begin + part);
          if (begin < end) RunBlock(slab, task / parts * block_, begin, end, memory());
        });
      }
    }
  }

 private:
  // A piece of B.
  struct Slab {
    size_t first, depth, column, columns;
  };

  void PackB(const Slab& slab, size_t column) const {
    const float* from = b_ + slab.first * shape_.columns + slab.column + column;
    const size_t count = std::min(loops_.columns, slab.columns - column);
    loops_.pack_b({from, shape_.columns, count, slab.depth, packed_ + column * slab.depth});
  }

  void PackA(size_t first, size_t depth, size_t row, size_t rows, float* to) const {
    for (size_t i = 0; i < rows; i += loops_.rows) {
      const float* from = a_ + first * shape_.rows + row + i;
      loops_.pack_a({from, shape_.rows, std::min(loops_.rows, rows - i), depth, to + i * depth});
    }
  }

  // The block of rows from `row` on, and the slab's columns from `begin` to `end`.
  void RunBlock(const Slab& slab, size_t row, size_t begin, size_t end, float* packed_a) const {
    const size_t rows = std::min(block_, shape_.rows - row);
    const size_t tiles = DivideUp(rows, loops_.rows);
    for (size_t k = 0; k < slab.depth; k += kDepth) {
      const size_t depth = std::min(kDepth, slab.depth - k);
      PackA(slab.first + k, depth, row, rows, packed_a);
      const size_t panel = depth * loops_.columns, share = DivideUp(panel, tiles);
      for (size_t column = begin; column < end; column += loops_.columns) {
        const float* b = packed_ + column * slab.depth + k * loops_.columns;
        const float* next = b + slab.depth * loops_.columns;
        const size_t of_next = column + loops_.columns < end ? panel : 0;
        for (size_t tile = 0; tile < tiles; ++tile) {
          // Each fetches its part of the next panel.
          const size_t i = tile * loops_.rows, ahead = std::min(of_next, tile * share);
          loops_.run({packed_a + i * depth, b, depth,
                      c_ + (row + i) * shape_.columns + slab.column + column, shape_.columns,
                      std::min(loops_.rows, rows - i), std::min(loops_.columns, end - column),
                      slab.first + k > 0, next + ahead, std::min(share, of_next - ahead)});
        }
      }
    }
  }

  const float* a_;
  const float* b_;
  float* c_;
  const ProductShape& shape_;
  const TransposedProductLoops& loops_;
  size_t slab_, slice_, block_;
  float* packed_ = nullptr;  // panels of B, each (depth of the slab, columns of a tile)
};

float* TaskMemory(size_t numbers) {
  return static_cast<float*>(ThreadMemory(numbers * sizeof(float)));
}

bool IsEmpty(const ProductShape& shape) {
  return shape.batch == 0 || shape.rows == 0 || shape.columns == 0 || shape.depth == 0;
}

}  // namespace

size_t TransposedProductWorkspace(const ProductShape& shape, const TransposedProductLoops& loops) {
  if (IsEmpty(shape) || shape.batch >= kManyProducts) return 0;
  return Product(nullptr, nullptr, nullptr, shape, loops).packed_b();
}

void TransposedProduct(const float* a, const float* b, float* c, const ProductShape& shape,
                       float* workspace, const Threads& threads,
                       const TransposedProductLoops& loops) {
  const size_t of_c = shape.rows * shape.columns;
  if (IsEmpty(shape)) {
    std::fill(c, c + shape.batch * of_c, 0.0F);
    return;
  }
  const auto product = [&](size_t index) {
    return Product(a + index * shape.depth * shape.rows, b + index * shape.depth * shape.columns,
                   c + index * of_c, shape, loops);
  };
  if (shape.batch < kManyProducts) {
    const auto for_each = [&](size_t count, size_t work, const auto& body) {
      threads.ForEach(count, work, body);
    };
    for (size_t index = 0; index < shape.batch; ++index) {
      Product one = product(index);
      one.Run(workspace, for_each, [&one] { return TaskMemory(one.packed_a()); });
    }
    return;
  }
  const auto here = [](size_t count, size_t, const auto& body) {
    for (size_t index = 0; index < count; ++index) body(index);
  };
  threads.ForEach(shape.batch, shape.batch * of_c * shape.depth / 8, [&](size_t index) {
    Product one = product(index);
    float* memory = TaskMemory(one.packed_b() + one.packed_a());
    one.Run(memory, here, [&] { return memory + one.packed_b(); });
  });
}

}  // namespace svgd
