// T on plain arrays, against its formula in double precision.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "cpu/virtual_gradient_kernel.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace {

using svgd::Task;
using svgd::VirtualGradientAttributes;

constexpr VirtualGradientAttributes kAttributes{0.9F, 1e-6F, 0.1F};

struct Tensors {
  size_t batch;
  size_t features;
  std::vector<float> dy;
  std::vector<float> r;
};

Tensors Random(size_t batch, size_t features, unsigned seed = 0) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.01F);
  Tensors tensors{batch, features, std::vector<float>(batch * features),
                  std::vector<float>(features)};
  for (float& value : tensors.dy) value = normal(random);
  for (float& value : tensors.r) value = std::abs(normal(random)) * 0.01F;
  return tensors;
}

// Runs task on `context`, a number of threads, each taking every so-many-th index.
void OnThreads(void* context, Task task, size_t count, void* data) {
  const size_t threads = *static_cast<size_t*>(context);
  std::vector<std::thread> pool;
  for (size_t first = 0; first < threads; ++first) {
    pool.emplace_back([=] {
      for (size_t index = first; index < count; index += threads) task(data, index);
    });
  }
  for (std::thread& thread : pool) thread.join();
}

struct Result {
  std::vector<float> out;
  std::vector<float> r;
};

Result Run(const Tensors& tensors, size_t threads) {
  Result result{std::vector<float>(tensors.dy.size()), std::vector<float>(tensors.features)};
  svgd::VirtualGradient(tensors.dy.data(), tensors.r.data(), result.out.data(), result.r.data(),
                        tensors.batch, tensors.features, kAttributes, OnThreads, &threads);
  return result;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

// Narrow and wide, short and tall, primes, and both sides of every bound in the kernel.
const std::vector<std::pair<size_t, size_t>> kShapes = {
    {1, 1},     {1, 7},     {2, 31},    {3, 32},    {32, 10},          {7, 1009},  {128, 128},
    {128, 129}, {256, 128}, {257, 128}, {300, 127}, {32, 1024},        {32, 1025}, {33, 4099},
    {1, 40000}, {40000, 1}, {70001, 3}, {2000, 97}, {16, 28 * 28 * 4}, {4096, 33}};

}  // namespace

TEST_CASE("T follows its formula") {
  for (const auto& [batch, features] : kShapes) {
    CAPTURE(batch);
    CAPTURE(features);
    const Tensors tensors = Random(batch, features);
    const Result result = Run(tensors, 2);
    double worst = 0;
    for (size_t f = 0; f < features; ++f) {
      double sum = 0;
      for (size_t n = 0; n < batch; ++n) {
        const double value = tensors.dy[n * features + f];
        sum += value * value;
      }
      const double r = 0.9F * static_cast<double>(tensors.r[f]) +
                       (1 - static_cast<double>(0.9F)) * sum / static_cast<double>(batch);
      const double factor = 0.1F / std::sqrt(r + 1e-6F);
      worst = std::max(worst, std::abs(result.r[f] - r) / r);
      for (size_t n = 0; n < batch; ++n) {
        const double expected = factor * tensors.dy[n * features + f];
        worst = std::max(worst, std::abs(result.out[n * features + f] - expected) /
                                    std::max(std::abs(expected), 1e-12));
      }
    }
    CHECK(worst < 5e-6);
  }
}

TEST_CASE("the number of threads does not change a bit") {
  for (const auto& [batch, features] : kShapes) {
    CAPTURE(batch);
    CAPTURE(features);
    const Tensors tensors = Random(batch, features);
    const Result alone = Run(tensors, 1);
    for (const size_t threads : {2, 3, 8}) {
      const Result together = Run(tensors, threads);
      CHECK(SameBits(alone.out, together.out));
      CHECK(SameBits(alone.r, together.r));
    }
  }
}

TEST_CASE("the outputs may lie where the inputs lie") {
  for (const auto& [batch, features] : kShapes) {
    CAPTURE(batch);
    CAPTURE(features);
    Tensors tensors = Random(batch, features);
    const Result apart = Run(tensors, 2);
    size_t threads = 2;
    svgd::VirtualGradient(tensors.dy.data(), tensors.r.data(), tensors.dy.data(), tensors.r.data(),
                          batch, features, kAttributes, OnThreads, &threads);
    CHECK(SameBits(apart.out, tensors.dy));
    CHECK(SameBits(apart.r, tensors.r));
  }
}

TEST_CASE("without examples r stays") {
  const Tensors tensors = Random(0, 5);
  const Result result = Run(tensors, 2);
  CHECK(result.out.empty());
  CHECK(SameBits(result.r, tensors.r));
}

TEST_CASE("without features there is nothing to do") {
  const Result result = Run(Random(5, 0), 2);
  CHECK(result.out.empty());
  CHECK(result.r.empty());
}

TEST_CASE("NaN in one feature stays in that feature") {
  Tensors tensors = Random(4, 3);
  tensors.dy[1] = std::nanf("");
  const Result result = Run(tensors, 1);
  CHECK(std::isnan(result.r[1]));
  CHECK(std::isfinite(result.r[0]));
  CHECK(std::isfinite(result.out[2]));
}
