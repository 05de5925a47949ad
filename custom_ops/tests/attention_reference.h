// Attention and its gradient in double precision, by plain loops.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "cpu/attention_kernel.h"
#include "numbers.h"

namespace svgd::tests {

struct AttentionArrays {
  explicit AttentionArrays(const AttentionShape& its_shape, unsigned seed = 1)
      : shape(its_shape),
        q(Numbers(shape.heads * shape.queries * shape.width, seed)),
        k(Numbers(shape.heads * shape.width * shape.keys, seed + 1)),
        v(Numbers(shape.heads * shape.keys * shape.values, seed + 2)),
        d_out(Numbers(shape.heads * shape.queries * shape.values, seed + 3)) {}

  AttentionInputs Inputs() const { return {q.data(), k.data(), v.data(), mask}; }

  AttentionShape shape;
  std::vector<float> q, k, v, d_out;
  AttentionMask mask;  // none
};

// A sum, and that of the absolute values, which rounding errors are measured against.
struct Sums {
  explicit Sums(size_t count) : value(count), size(count) {}

  void Add(size_t place, double value_added, double size_added) {
    value[place] += value_added;
    size[place] += size_added;
  }

  std::vector<double> value, size;
};

struct ExpectedAttention {
  Sums out, d_q, d_k, d_v;
};

namespace attention_reference {

// The probabilities of a query, and what their errors are measured against: a score's own rounding
// changes its power by as much as it is wrong.
struct Probabilities {
  std::vector<double> p, size;
};

inline Probabilities ProbabilitiesOf(const AttentionArrays& a, float scale, bool nan_as_zero,
                                     size_t head, size_t row) {
  const auto& [heads, queries, keys, width, values] = a.shape;
  const size_t query = head * queries + row;
  std::vector<double> p(keys), size(keys);
  double greatest = -std::numeric_limits<double>::infinity(), sum = 0;
  bool has_nan = false;
  for (size_t key = 0; key < keys; ++key) {
    double score = 0, terms = 0;
    for (size_t i = 0; i < width; ++i) {
      const double term = double{a.q[query * width + i]} * a.k[(head * width + i) * keys + key];
      score += term;
      terms += std::abs(term);
    }
    p[key] = score * double{scale};
    if (a.mask.data != nullptr) {
      p[key] +=
          a.mask.data[a.mask.of_heads[head] + row * a.mask.query_stride + key * a.mask.key_stride];
    }
    size[key] = 1 + terms * std::abs(double{scale});
    has_nan = has_nan || std::isnan(p[key]);
    greatest = std::max(greatest, p[key]);
  }
  for (double& each : p) sum += each = std::exp(each - greatest);
  for (size_t key = 0; key < keys; ++key) {
    p[key] /= sum;
    if (has_nan || std::isnan(p[key]))
      p[key] = nan_as_zero ? 0 : std::numeric_limits<double>::quiet_NaN();
    size[key] *= p[key];
  }
  return {p, size};
}

}  // namespace attention_reference

inline ExpectedAttention Reference(const AttentionArrays& a, float scale, bool nan_as_zero) {
  const auto& [heads, queries, keys, width, values] = a.shape;
  ExpectedAttention to{Sums(a.d_out.size()), Sums(a.q.size()), Sums(a.k.size()), Sums(a.v.size())};
  for (size_t head = 0; head < heads; ++head) {
    for (size_t row = 0; row < queries; ++row) {
      const size_t query = head * queries + row;
      const auto [p, p_size] =
          attention_reference::ProbabilitiesOf(a, scale, nan_as_zero, head, row);
      std::vector<double> d_p(keys), d_p_size(keys);
      double both = 0, both_size = 0;
      for (size_t key = 0; key < keys; ++key) {
        for (size_t i = 0; i < values; ++i) {
          const size_t value = (head * keys + key) * values + i, place = query * values + i;
          const double v = a.v[value], d_out = a.d_out[place];
          to.out.Add(place, p[key] * v, p_size[key] * std::abs(v));
          to.d_v.Add(value, p[key] * d_out, p_size[key] * std::abs(d_out));
          d_p[key] += d_out * v;
          d_p_size[key] += std::abs(d_out * v);
        }
        both += p[key] * d_p[key];
        both_size += p_size[key] * d_p_size[key];
      }
      for (size_t key = 0; key < keys; ++key) {
        const double d_score = double{scale} * p[key] * (d_p[key] - both);
        const double size = std::abs(double{scale}) * p_size[key] * (d_p_size[key] + both_size);
        for (size_t i = 0; i < width; ++i) {
          const size_t of_q = query * width + i, of_k = (head * width + i) * keys + key;
          const double q = a.q[of_q], k = a.k[of_k];
          to.d_q.Add(of_q, d_score * k, size * std::abs(k));
          to.d_k.Add(of_k, d_score * q, size * std::abs(q));
        }
      }
    }
  }
  return to;
}

// The largest difference, of the size of what was summed; infinite where one of both is NaN.
inline double Error(const float* found, const Sums& expected) {
  double worst = 0;
  for (size_t i = 0; i < expected.value.size(); ++i) {
    const double wanted = expected.value[i], difference = std::abs(found[i] - wanted);
    if (std::isnan(wanted) && std::isnan(found[i])) continue;
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, difference / std::max(expected.size[i], 1e-30));
  }
  return worst;
}

}  // namespace svgd::tests
