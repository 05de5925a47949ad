#include "cpu/attention_kernel.h"

#include <algorithm>

#include "cpu/thread_memory.h"
#include "cpu/turned.h"

namespace svgd {
namespace {

// Scores of a block of queries, about: these and their gradient stay in the second cache.
constexpr size_t kScores = 32 * 1024;
// Of a tile's sums before they go to memory, as in products.
constexpr size_t kDepth = 256;

// Panels of a factor of a product, each (depth, a tile's rows or columns).
struct Panels {
  const float* at;
  size_t depth, count;
};

// Products of small matrices that are packed first.
class Products {
 public:
  explicit Products(const AllAttentionLoops& loops) : loops_(loops) {}

  size_t rows() const { return loops_.product.rows; }
  size_t columns() const { return loops_.product.columns; }

  // The first factor's panels, transposed: of a matrix (depth, count), whose rows lie `pitch`
  // apart; or, turned, of one (count, depth).
  Panels First(const float* from, size_t pitch, size_t depth, size_t count, float* to) const {
    return Packed(loops_.product.pack_a.as_it_is, {from, pitch, count, depth, to});
  }
  Panels FirstTurned(const float* from, size_t pitch, size_t depth, size_t count, float* to) const {
    return Packed(loops_.product.pack_a.turned, {from, pitch, count, depth, to});
  }

  // The second factor's, of a matrix (depth, count), or, turned, of one (count, depth).
  Panels Second(const float* from, size_t pitch, size_t depth, size_t count, float* to) const {
    return Packed(loops_.product.pack_b.as_it_is, {from, pitch, count, depth, to});
  }
  Panels SecondTurned(const float* from, size_t pitch, size_t depth, size_t count,
                      float* to) const {
    return Packed(loops_.product.pack_b.turned, {from, pitch, count, depth, to});
  }

  // c (a.count, b.count), whose rows lie `pitch` apart, is the product; or is added to.
  void Multiply(const Panels& a, const Panels& b, float* c, size_t pitch, bool add) const {
    for (size_t k = 0; k < std::max<size_t>(1, a.depth); k += kDepth) {
      const size_t depth = std::min(kDepth, a.depth - k);
      for (size_t j = 0; j < b.count; j += columns()) {
        const float* panel = b.at + j * b.depth + k * columns();
        for (size_t i = 0; i < a.count; i += rows()) {
          loops_.product.run({a.at + i * a.depth + k * rows(), panel, depth, c + i * pitch + j,
                              pitch, std::min(rows(), a.count - i),
                              std::min(columns(), b.count - j), add || k > 0, nullptr});
        }
      }
    }
  }

 private:
  static Panels Packed(void (*pack)(const ProductPanels&), const ProductPanels& panels) {
    pack(panels);
    return {panels.to, panels.depth, panels.count};
  }

  const AllAttentionLoops& loops_;
};

// Memory of a task, given out piece by piece; first to learn how much there must be.
class Pieces {
 public:
  explicit Pieces(float* memory) : memory_(memory) {}

  float* Take(size_t numbers) {
    const size_t place = cut_.Array<float>(numbers) / sizeof(float);
    return memory_ == nullptr ? nullptr : memory_ + place;
  }
  size_t bytes() const { return cut_.bytes(); }

 private:
  float* memory_;
  Cut cut_;
};

// What both directions have in common: the scores of blocks of a head's queries.
class Heads {
 public:
  Heads(const AttentionInputs& in, const AttentionShape& shape, float scale,
        const AllAttentionLoops& loops)
      : in_(in), shape_(shape), scale_(scale), loops_(loops), products_(loops) {
    const size_t unit = products_.columns();
    const size_t most = std::clamp(kScores / std::max<size_t>(1, shape.keys) / unit * unit, unit,
                                   kMostQueries / unit * unit);
    block_ =
        RoundUp(DivideUp(shape.queries, std::max<size_t>(1, DivideUp(shape.queries, most))), unit);
  }

  size_t Tall(size_t count) const { return RoundUp(count, products_.rows()); }
  size_t Wide(size_t count) const { return RoundUp(count, products_.columns()); }

  // Arrays that a task works in.
  struct Memory {
    Memory(const Heads& heads, Pieces& pieces)
        : keys(pieces.Take(heads.Tall(heads.shape_.keys) * heads.shape_.width)),
          queries(pieces.Take(heads.shape_.width * heads.block_)),
          scores(pieces.Take(heads.shape_.keys * heads.block_)),
          mask(pieces.Take(heads.in_.mask.data == nullptr ? 0 : heads.shape_.keys * heads.block_)) {
    }
    float* keys;
    float* queries;
    float* scores;
    float* mask;
  };

  Panels Keys(size_t head, const Memory& memory) const {
    return products_.First(K(head), shape_.keys, shape_.width, shape_.keys, memory.keys);
  }

  // Scores of the queries from `first` on, neither scaled nor masked yet.
  AttentionScores Scores(size_t head, size_t first, const Panels& keys,
                         const Memory& memory) const {
    const size_t queries = std::min(block_, shape_.queries - first);
    const Panels turned = products_.SecondTurned(Q(head) + first * shape_.width, shape_.width,
                                                 shape_.width, queries, memory.queries);
    products_.Multiply(keys, turned, memory.scores, block_, false);
    AttentionScores scores{memory.scores, shape_.keys, queries, block_, scale_, nullptr, nullptr};
    const AttentionMask& mask = in_.mask;
    if (mask.data == nullptr) return scores;
    const float* from = mask.data + mask.of_heads[head] + first * mask.query_stride;
    if (mask.query_stride == 0) {
      for (size_t key = 0; key < shape_.keys; ++key) memory.mask[key] = from[key * mask.key_stride];
      scores.of_keys = memory.mask;
    } else if (mask.key_stride == 1) {
      Turn(from, mask.query_stride, queries, shape_.keys, memory.mask, block_);
      scores.of_each = memory.mask;
    } else {
      for (size_t key = 0; key < shape_.keys; ++key) {
        for (size_t i = 0; i < queries; ++i) {
          memory.mask[key * block_ + i] = from[i * mask.query_stride];
        }
      }
      scores.of_each = memory.mask;
    }
    return scores;
  }

  const float* Q(size_t head) const { return in_.q + head * shape_.queries * shape_.width; }
  const float* K(size_t head) const { return in_.k + head * shape_.width * shape_.keys; }
  const float* V(size_t head) const { return in_.v + head * shape_.keys * shape_.values; }

  // Additions of all heads' products, `count` for each pair of a query and a key.
  size_t Work(size_t count) const {
    return shape_.heads * shape_.queries * shape_.keys * (count * shape_.width + 16) / 8;
  }

 protected:
  const AttentionInputs& in_;
  const AttentionShape& shape_;
  const float scale_;
  const AllAttentionLoops& loops_;
  const Products products_;
  size_t block_;
};

class Forward : public Heads {
 public:
  using Heads::Heads;

  struct Memory : Heads::Memory {
    Memory(const Forward& heads, Pieces& pieces)
        : Heads::Memory(heads, pieces),
          values(pieces.Take(heads.shape_.keys * heads.Wide(heads.shape_.values))),
          packed(pieces.Take(heads.Tall(heads.block_) * heads.shape_.keys)) {}
    float* values;
    float* packed;
  };

  void Run(size_t head, float* out, const AttentionStatistics<float>& statistics, bool nan_as_zero,
           const Memory& memory) const {
    const Panels keys = Keys(head, memory);
    const Panels values =
        products_.Second(V(head), shape_.values, shape_.keys, shape_.values, memory.values);
    for (size_t first = 0; first < shape_.queries; first += block_) {
      const size_t query = head * shape_.queries + first;
      const AttentionScores scores = Scores(head, first, keys, memory);
      loops_.attention.softmax(scores, nan_as_zero, statistics.greatest + query,
                               statistics.inverse + query);
      const Panels probabilities =
          products_.First(scores.at, block_, shape_.keys, scores.queries, memory.packed);
      products_.Multiply(probabilities, values, out + query * shape_.values, shape_.values, false);
    }
  }
};

class Backward : public Heads {
 public:
  using Heads::Heads;

  struct Memory : Heads::Memory {
    Memory(const Backward& heads, Pieces& pieces) : Heads::Memory(heads, pieces) {
      const AttentionShape& shape = heads.shape_;
      const size_t block = heads.block_;
      turned_keys = pieces.Take(shape.keys * heads.Wide(shape.width));
      values = pieces.Take(heads.Tall(shape.keys) * shape.values);
      d_out = pieces.Take(shape.values * block);
      d_scores = pieces.Take(shape.keys * block);
      first = pieces.Take(std::max({heads.Tall(shape.keys) * block, heads.Tall(block) * shape.keys,
                                    heads.Tall(shape.width) * block}));
      second = pieces.Take(block * heads.Wide(std::max(shape.values, shape.keys)));
    }
    float* turned_keys;
    float* values;
    float* d_out;
    float* d_scores;
    float* first;
    float* second;
  };

  void Run(size_t head, const float* d_out, const AttentionStatistics<const float>& statistics,
           const AttentionGradients& gradients, const Memory& memory) const {
    const size_t width = shape_.width, keys = shape_.keys, values = shape_.values;
    float* d_k = gradients.k + head * width * keys;
    float* d_v = gradients.v + head * keys * values;
    if (shape_.queries == 0) {
      std::fill(d_k, d_k + width * keys, 0.0F);
      std::fill(d_v, d_v + keys * values, 0.0F);
    }
    const Panels packed_keys = Keys(head, memory);
    const Panels turned_keys =
        products_.SecondTurned(K(head), keys, keys, width, memory.turned_keys);
    const Panels packed_values =
        products_.FirstTurned(V(head), values, values, keys, memory.values);
    for (size_t first = 0; first < shape_.queries; first += block_) {
      const size_t query = head * shape_.queries + first;
      const float* d_rows = d_out + query * values;
      const AttentionScores p = Scores(head, first, packed_keys, memory);
      const size_t queries = p.queries;
      const float* inverse = statistics.inverse + query;
      loops_.attention.probabilities(p, statistics.greatest + query, inverse);

      products_.Multiply(products_.FirstTurned(p.at, block_, queries, keys, memory.first),
                         products_.Second(d_rows, values, queries, values, memory.second), d_v,
                         values, first > 0);

      products_.Multiply(packed_values,
                         products_.SecondTurned(d_rows, values, values, queries, memory.d_out),
                         memory.d_scores, block_, false);
      loops_.attention.score_gradient(p, memory.d_scores, inverse);

      products_.Multiply(products_.First(memory.d_scores, block_, keys, queries, memory.first),
                         turned_keys, gradients.q + query * width, width, false);
      products_.Multiply(
          products_.First(Q(head) + first * width, width, queries, width, memory.first),
          products_.SecondTurned(memory.d_scores, block_, queries, keys, memory.second), d_k, keys,
          first > 0);
    }
  }
};

// Calls run(head, memory) for each head.
template <typename Direction, typename Run>
void ForEachHead(const Direction& direction, size_t heads, size_t work, const Threads& threads,
                 const Run& run) {
  Pieces sizes(nullptr);
  const typename Direction::Memory no_memory(direction, sizes);
  threads.ForEach(heads, work, [&](size_t head) {
    Pieces pieces(static_cast<float*>(ThreadMemory(sizes.bytes())));
    run(head, typename Direction::Memory(direction, pieces));
  });
}

}  // namespace

void Attention(const AttentionInputs& in, float* out, const AttentionStatistics<float>& statistics,
               const AttentionShape& shape, float scale, bool nan_as_zero, const Threads& threads,
               const AllAttentionLoops& loops) {
  const Forward forward(in, shape, scale, loops);
  ForEachHead(forward, shape.heads, forward.Work(2), threads,
              [&](size_t head, const Forward::Memory& memory) {
                forward.Run(head, out, statistics, nan_as_zero, memory);
              });
}

void AttentionGradient(const AttentionInputs& in, const float* d_out,
                       const AttentionStatistics<const float>& statistics,
                       const AttentionGradients& gradients, const AttentionShape& shape,
                       float scale, const Threads& threads, const AllAttentionLoops& loops) {
  const Backward backward(in, shape, scale, loops);
  ForEachHead(backward, shape.heads, backward.Work(5), threads,
              [&](size_t head, const Backward::Memory& memory) {
                backward.Run(head, d_out, statistics, gradients, memory);
              });
}

}  // namespace svgd
