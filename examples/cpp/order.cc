#include "order.h"

#include <array>
#include <cstdlib>
#include <numeric>
#include <utility>

namespace svgd {

using std::size_t;
namespace {

__extension__ typedef unsigned __int128 uint128_t;

constexpr uint128_t Wide(uint64_t high, uint64_t low) {
  return static_cast<uint128_t>(high) << 64 | low;
}

// NumPy's SeedSequence: four numbers of 64 bits from integers.
class SeedSequence {
 public:
  explicit SeedSequence(const std::vector<uint32_t>& entropy) {
    for (size_t i = 0; i < pool_.size(); ++i) pool_[i] = Hash(i < entropy.size() ? entropy[i] : 0);
    for (size_t from = 0; from < pool_.size(); ++from) {
      for (size_t to = 0; to < pool_.size(); ++to) {
        if (from != to) pool_[to] = Mix(pool_[to], Hash(pool_[from]));
      }
    }
    // Two integers of 64 bits are no more than the pool's four words.
  }

  std::array<uint64_t, 4> Words() const {
    std::array<uint64_t, 4> words{};
    uint32_t constant = 0x8b51f9dd;
    for (size_t i = 0; i < 2 * words.size(); ++i) {
      uint32_t value = pool_[i % pool_.size()] ^ constant;
      constant *= 0x58f38ded;
      value *= constant;
      value ^= value >> 16;
      words[i / 2] |= static_cast<uint64_t>(value) << 32 * (i % 2);
    }
    return words;
  }

 private:
  uint32_t Hash(uint32_t value) {
    value ^= constant_;
    constant_ *= 0x931e8875;
    value *= constant_;
    return value ^ value >> 16;
  }

  static uint32_t Mix(uint32_t x, uint32_t y) {
    const uint32_t value = x * 0xca01f9ddu - y * 0x4973f715u;
    return value ^ value >> 16;
  }

  uint32_t constant_ = 0x43b0d7e5;
  std::array<uint32_t, 4> pool_{};
};

// PCG64 (XSL-RR; O'Neill 2014), each number of which gives two of 32 bits, the lower half first.
class Pcg64 {
 public:
  explicit Pcg64(const std::array<uint64_t, 4>& seed)
      : increment_(Wide(seed[2], seed[3]) << 1 | 1), state_(increment_ + Wide(seed[0], seed[1])) {
    Advance();
  }

  uint32_t Next() {
    has_upper_ = !has_upper_;
    if (!has_upper_) return upper_;
    Advance();
    const auto folded = static_cast<uint64_t>(state_ >> 64) ^ static_cast<uint64_t>(state_);
    const auto turn = static_cast<unsigned>(state_ >> 122);
    const uint64_t value = turn == 0 ? folded : folded >> turn | folded << (64 - turn);
    upper_ = static_cast<uint32_t>(value >> 32);
    return static_cast<uint32_t>(value);
  }

 private:
  void Advance() {
    constexpr uint128_t multiplier = Wide(2549297995355413924u, 4865540595714422341u);
    state_ = state_ * multiplier + increment_;
  }

  uint128_t increment_, state_;
  uint32_t upper_ = 0;
  bool has_upper_ = false;
};

void Append(std::vector<uint32_t>& words, uint64_t number) {
  words.push_back(static_cast<uint32_t>(number));
  if (number >> 32) words.push_back(static_cast<uint32_t>(number >> 32));
}

}  // namespace

std::vector<size_t> ShuffledRows(size_t count, uint64_t seed, uint64_t epoch) {
  std::vector<uint32_t> entropy;
  Append(entropy, seed);
  Append(entropy, epoch);
  Pcg64 random(SeedSequence(entropy).Words());
  std::vector<size_t> rows(count);
  std::iota(rows.begin(), rows.end(), size_t{0});
  for (size_t i = count; i-- > 1;) {
    // A number from 0 to i: of so many bits, drawn again while it is more.
    uint32_t mask = static_cast<uint32_t>(i);
    for (int shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
    size_t j = random.Next() & mask;
    while (j > i) j = random.Next() & mask;
    std::swap(rows[i], rows[j]);
  }
  return rows;
}

}  // namespace svgd
