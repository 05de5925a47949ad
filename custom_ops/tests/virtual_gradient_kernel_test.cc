// T on plain arrays, against its formula in double precision.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "cpu/virtual_gradient_kernel.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include "cpu/virtual_gradient_loops.h"
#include "parallel_for.h"

namespace {

using svgd::VirtualGradientAttributes;
using svgd::VirtualGradientShape;
using svgd::tests::OnThreads;

constexpr VirtualGradientAttributes kAttributes{0.9F, 1e-6F, 0.1F, 3.0F};

struct Tensors {
  VirtualGradientShape shape;
  std::vector<float> dy;
  std::vector<float> r;
};

Tensors Random(const VirtualGradientShape& shape) {
  std::mt19937 random(0);
  std::normal_distribution<float> normal(0.0F, 0.01F);
  Tensors tensors{shape, std::vector<float>(shape.outer * shape.channels * shape.inner),
                  std::vector<float>(shape.channels)};
  for (float& value : tensors.dy) value = normal(random);
  for (float& value : tensors.r) value = std::abs(normal(random)) * 0.01F;
  return tensors;
}

struct Result {
  std::vector<float> out;
  std::vector<float> r;
};

Result Run(const Tensors& tensors, size_t threads) {
  Result result{std::vector<float>(tensors.dy.size()), std::vector<float>(tensors.r.size())};
  svgd::VirtualGradient(tensors.dy.data(), tensors.r.data(), result.out.data(), result.r.data(),
                        nullptr, tensors.shape, kAttributes, OnThreads, &threads);
  return result;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

// Narrow and wide, short and tall, primes, both sides of every bound in the kernel; and channels
// with rows of their own.
const std::vector<VirtualGradientShape> kShapes = {
    {1, 1, 1},      {1, 7, 1},      {2, 31, 1},     {3, 32, 1},     {32, 10, 1},    {7, 1009, 1},
    {128, 128, 1},  {128, 129, 1},  {256, 128, 1},  {257, 128, 1},  {300, 127, 1},  {32, 1024, 1},
    {32, 1025, 1},  {33, 4099, 1},  {1, 40000, 1},  {40000, 1, 1},  {70001, 3, 1},  {2000, 97, 1},
    {16, 3136, 1},  {4096, 33, 1},  {129, 5, 1},    {1, 1, 2},      {4, 3, 5},      {8, 16, 49},
    {32, 3, 1024},  {5, 64, 17},    {1, 2, 100003}, {1025, 300, 1}, {9000, 700, 1}, {5000, 1500, 1},
    {129, 9000, 1}, {130, 40000, 1}};

}  // namespace

TEST_CASE("T follows its formula") {
  for (const VirtualGradientShape& shape : kShapes) {
    CAPTURE(shape.outer);
    CAPTURE(shape.channels);
    CAPTURE(shape.inner);
    const Tensors tensors = Random(shape);
    const Result result = Run(tensors, 2);
    const auto index = [&](size_t o, size_t c, size_t i) {
      return (o * shape.channels + c) * shape.inner + i;
    };
    double worst = 0;
    for (size_t c = 0; c < shape.channels; ++c) {
      double sum = 0;
      for (size_t o = 0; o < shape.outer; ++o) {
        for (size_t i = 0; i < shape.inner; ++i) {
          sum += std::pow(3.0 * static_cast<double>(tensors.dy[index(o, c, i)]), 2);
        }
      }
      const double mean = sum / static_cast<double>(shape.outer * shape.inner);
      const double rho = static_cast<double>(0.9F);
      const double r = rho * static_cast<double>(tensors.r[c]) + (1 - rho) * mean;
      const double factor = static_cast<double>(0.1F) / std::sqrt(r + static_cast<double>(1e-6F));
      worst = std::max(worst, std::abs(result.r[c] - r) / r);
      for (size_t o = 0; o < shape.outer; ++o) {
        for (size_t i = 0; i < shape.inner; ++i) {
          const double expected = factor * tensors.dy[index(o, c, i)];
          worst = std::max(worst, std::abs(result.out[index(o, c, i)] - expected) /
                                      std::max(std::abs(expected), 1e-12));
        }
      }
    }
    CHECK(worst < 2e-6);
  }
}

TEST_CASE("the number of threads does not change a bit") {
  for (const VirtualGradientShape& shape : kShapes) {
    CAPTURE(shape.outer);
    CAPTURE(shape.channels);
    CAPTURE(shape.inner);
    const Tensors tensors = Random(shape);
    const Result alone = Run(tensors, 1);
    for (const size_t threads : {2, 3, 8}) {
      const Result together = Run(tensors, threads);
      CHECK(SameBits(alone.out, together.out));
      CHECK(SameBits(alone.r, together.r));
    }
  }
}

TEST_CASE("the outputs may lie where the inputs lie") {
  for (const VirtualGradientShape& shape : kShapes) {
    CAPTURE(shape.outer);
    CAPTURE(shape.channels);
    CAPTURE(shape.inner);
    Tensors tensors = Random(shape);
    const Result apart = Run(tensors, 2);
    size_t threads = 2;
    svgd::VirtualGradient(tensors.dy.data(), tensors.r.data(), tensors.dy.data(), tensors.r.data(),
                          nullptr, shape, kAttributes, OnThreads, &threads);
    CHECK(SameBits(apart.out, tensors.dy));
    CHECK(SameBits(apart.r, tensors.r));
  }
}

TEST_CASE("without examples r stays") {
  const Tensors tensors = Random({0, 5, 1});
  const Result result = Run(tensors, 2);
  CHECK(result.out.empty());
  CHECK(SameBits(result.r, tensors.r));
}

TEST_CASE("without features there is nothing to do") {
  const Result result = Run(Random({5, 0, 1}), 2);
  CHECK(result.out.empty());
  CHECK(result.r.empty());
}

TEST_CASE("NaN in one feature stays in that feature") {
  Tensors tensors = Random({4, 3, 1});
  tensors.dy[1] = std::nanf("");
  const Result result = Run(tensors, 1);
  CHECK(std::isnan(result.r[1]));
  CHECK(std::isfinite(result.r[0]));
  CHECK(std::isfinite(result.out[2]));
}

TEST_CASE("the factor alone is the one that T multiplies by") {
  for (const VirtualGradientShape& shape : kShapes) {
    CAPTURE(shape.outer);
    CAPTURE(shape.channels);
    CAPTURE(shape.inner);
    const Tensors tensors = Random(shape);
    const Result whole = Run(tensors, 2);
    Result factor{std::vector<float>(shape.channels), std::vector<float>(shape.channels)};
    size_t threads = 2;
    svgd::VirtualGradient(tensors.dy.data(), tensors.r.data(), static_cast<float*>(nullptr),
                          factor.r.data(), factor.out.data(), shape, kAttributes, OnThreads,
                          &threads);
    CHECK(SameBits(whole.r, factor.r));
    std::vector<float> scaled(tensors.dy.size());
    for (size_t i = 0; i < scaled.size(); ++i) {
      scaled[i] = tensors.dy[i] * factor.out[i / shape.inner % shape.channels];
    }
    CHECK(SameBits(whole.out, scaled));
  }
}

TEST_CASE("sums of dY come beside, and change nothing else") {
  for (const VirtualGradientShape& shape : kShapes) {
    if (shape.inner != 1) continue;
    CAPTURE(shape.outer);
    CAPTURE(shape.channels);
    const Tensors tensors = Random(shape);
    const Result alone = Run(tensors, 2);
    std::vector<float> first(shape.channels);
    for (const bool factors_alone : {false, true}) {
      Result result = alone;
      std::vector<float> sums(shape.channels);
      size_t threads = factors_alone ? 1 : 3;
      svgd::VirtualGradient(tensors.dy.data(), tensors.r.data(),
                            factors_alone ? nullptr : result.out.data(), result.r.data(),
                            factors_alone ? result.out.data() : nullptr, shape, kAttributes,
                            OnThreads, &threads, sums.data());
      CHECK(SameBits(result.r, alone.r));
      if (factors_alone) {
        CHECK(SameBits(sums, first));
        continue;
      }
      CHECK(SameBits(result.out, alone.out));
      first = sums;
      double worst = 0;
      for (size_t c = 0; c < shape.channels; ++c) {
        double sum = 0;
        for (size_t o = 0; o < shape.outer; ++o) {
          sum += static_cast<double>(tensors.dy[o * shape.channels + c]);
        }
        worst = std::max(worst, std::abs(static_cast<double>(sums[c]) - sum));
      }
      // of numbers of about 0.01
      CHECK(worst < 3e-8 * std::sqrt(static_cast<double>(shape.outer)));
    }
  }
}

TEST_CASE_TEMPLATE("every 16-bit number is read and written as it is", Half, svgd::Float16,
                   svgd::BFloat16) {
  std::vector<Half> halves(1 << 16), same(1 << 16);
  for (size_t i = 0; i < halves.size(); ++i) halves[i].bits = static_cast<uint16_t>(i);
  svgd::Loops<Half>(svgd::Widest()).scale_row(halves.data(), same.data(), halves.size(), 1.0F);
  // NaN has an exponent of ones and a mantissa other than 0; any NaN will do for it.
  const uint32_t infinity = std::is_same_v<Half, svgd::Float16> ? 0x7C00 : 0x7F80;
  size_t wrong = 0;
  for (size_t i = 0; i < halves.size(); ++i) {
    const bool is_nan = (i & 0x7FFF) > infinity;
    wrong += is_nan ? (same[i].bits & 0x7FFFU) <= infinity : same[i].bits != i;
  }
  CHECK(wrong == 0);
}

TEST_CASE("every instruction set gives the same bits") {
  const Tensors tensors = Random({6, 1111, 1});
  const size_t count = 1111;
  const auto results = [&](svgd::InstructionSet set) {
    const auto& loops = svgd::Loops<float>(set);
    std::vector<float> all(9 * count + 1);
    float* sums = all.data();
    float* out = sums + count;
    float* plain = out + 6 * count;
    loops.sum_squares(tensors.dy.data(), 5, count, count, sums, plain);
    loops.update(tensors.r.data(), out, sums, count, 0.9F, 0.1F, 0.5F, 1e-6F);
    loops.scale(tensors.dy.data(), out + count, 3, count, count, sums);
    loops.scale_row(tensors.dy.data(), out + 4 * count, count, 0.3F);
    float* next = out + 5 * count;
    loops.scale_and_sum(tensors.dy.data(), out + count, sums, tensors.dy.data() + 3 * count, next,
                        plain + count, 3, count, count);
    all.back() = loops.sum_squares_of_row(tensors.dy.data(), count);
    return all;
  };
  const std::vector<float> baseline = results(svgd::InstructionSet::kBaseline);
  for (const auto set : {svgd::InstructionSet::kAvx2, svgd::InstructionSet::kAvx512}) {
    if (set <= svgd::Widest()) CHECK(SameBits(results(set), baseline));
  }
}

TEST_CASE("double precision keeps its digits") {
  const size_t count = 501, rows = 40;
  std::mt19937 random(0);
  std::normal_distribution<double> normal(0.0, 0.01);
  std::vector<double> dy(rows * count), r(count, 1e-4), out(dy.size()), r_new(count);
  for (double& value : dy) value = normal(random);
  size_t threads = 2;
  svgd::VirtualGradient(dy.data(), r.data(), out.data(), r_new.data(),
                        static_cast<double*>(nullptr), {rows, count, 1},
                        VirtualGradientAttributes{0.5F, 0.25F, 0.5F, 1.0F}, OnThreads, &threads);
  double worst = 0;
  for (size_t c = 0; c < count; ++c) {
    double sum = 0;
    for (size_t row = 0; row < rows; ++row) sum += std::pow(dy[row * count + c], 2);
    const double expected = 0.5 * 1e-4 + 0.5 * sum / static_cast<double>(rows);
    worst = std::max(worst, std::abs(r_new[c] / expected - 1));
    const double factor = 0.5 / std::sqrt(expected + 0.25);
    worst = std::max(worst, std::abs(out[c] / (dy[c] * factor) - 1));
  }
  CHECK(worst < 1e-14);
}
