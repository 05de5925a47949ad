// Convolution and its gradients in double precision, by plain loops.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "convolution.h"

namespace svgd::tests {

struct Tensors {
  std::vector<float> x, w, dy, bias, factor;
};

inline Tensors RandomTensors(const ConvolutionShape& shape, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Tensors tensors;
  tensors.x.resize(shape.batch * shape.in_pixels() * shape.channels);
  tensors.w.resize(shape.outputs * shape.group_channels() * shape.taps());
  tensors.dy.resize(shape.batch * shape.out_pixels() * shape.outputs);
  tensors.bias.resize(shape.outputs);
  tensors.factor.resize(shape.out_pixels() * shape.outputs);
  for (auto* numbers : {&tensors.x, &tensors.w, &tensors.dy, &tensors.bias, &tensors.factor}) {
    for (float& number : *numbers) number = normal(random);
  }
  return tensors;
}

// Calls body(place in X, place in W, place in Y) for each product of Y.
template <typename Body>
void ForEachProduct(const ConvolutionShape& shape, const Body& body) {
  const auto& [a, b, c] = shape.axes;
  const size_t channels = shape.group_channels(), outputs = shape.group_outputs();
  const auto at = [](int64_t value) { return static_cast<size_t>(value); };
  for (size_t n = 0; n < shape.batch; ++n) {
    for (size_t o = 0; o < shape.out_pixels(); ++o) {
      const auto place = static_cast<int64_t>(o);
      const int64_t i = place / c.out / b.out, j = place / c.out % b.out, k = place % c.out;
      for (size_t t = 0; t < shape.taps(); ++t) {
        const auto tap = static_cast<int64_t>(t);
        const int64_t p = tap / c.kernel / b.kernel, q = tap / c.kernel % b.kernel;
        const int64_t x = i * a.stride - a.pad + p * a.dilation;
        const int64_t y = j * b.stride - b.pad + q * b.dilation;
        const int64_t z = k * c.stride - c.pad + tap % c.kernel * c.dilation;
        if (x < 0 || x >= a.in || y < 0 || y >= b.in || z < 0 || z >= c.in) continue;
        const size_t in = ((n * at(a.in) + at(x)) * at(b.in) + at(y)) * at(c.in) + at(z);
        for (size_t m = 0; m < shape.outputs; ++m) {
          for (size_t e = 0; e < channels; ++e) {
            body(in * shape.channels + m / outputs * channels + e,
                 (m * channels + e) * shape.taps() + t,
                 (n * shape.out_pixels() + o) * shape.outputs + m);
          }
        }
      }
    }
  }
}

struct Expected {
  std::vector<double> y, dx, dw, db;  // dw and db of dY times the factor
  // Sums of absolute values, which rounding errors are measured against.
  std::vector<double> y_sizes, dx_sizes, dw_sizes, db_sizes;
};

inline Expected Reference(const ConvolutionShape& shape, const Tensors& tensors) {
  Expected out;
  out.y.resize(tensors.dy.size());
  out.dx.resize(tensors.x.size());
  out.dw.resize(tensors.w.size());
  for (size_t i = 0; i < out.y.size(); ++i) {
    out.y[i] = static_cast<double>(tensors.bias[i % shape.outputs]);
  }
  out.y_sizes = out.y;
  for (double& size : out.y_sizes) size = std::abs(size);
  out.dx_sizes.resize(out.dx.size());
  out.dw_sizes.resize(out.dw.size());
  const size_t example = shape.out_pixels() * shape.outputs;
  const auto add = [](double product, double* sum, double* size) {
    *sum += product;
    *size += std::abs(product);
  };
  out.db.resize(shape.outputs);
  out.db_sizes.resize(shape.outputs);
  for (size_t y = 0; y < tensors.dy.size(); ++y) {
    const auto scaled = static_cast<double>(tensors.dy[y] * tensors.factor[y % example]);
    add(scaled, &out.db[y % shape.outputs], &out.db_sizes[y % shape.outputs]);
  }
  ForEachProduct(shape, [&](size_t x, size_t w, size_t y) {
    const auto xi = static_cast<double>(tensors.x[x]), wi = static_cast<double>(tensors.w[w]);
    const auto dyi = static_cast<double>(tensors.dy[y]);
    add(xi * wi, &out.y[y], &out.y_sizes[y]);
    add(dyi * wi, &out.dx[x], &out.dx_sizes[x]);
    const auto scaled = static_cast<double>(tensors.dy[y] * tensors.factor[y % example]);
    add(xi * scaled, &out.dw[w], &out.dw_sizes[w]);
  });
  return out;
}

// The largest difference, of the size of what was summed.
inline double Error(const float* found, const std::vector<double>& expected,
                    const std::vector<double>& sizes) {
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(static_cast<double>(found[i]) - expected[i]);
    if (!(difference <= 1e300)) return difference;
    worst = std::max(worst, difference / std::max(sizes[i], 1e-30));
  }
  return worst;
}

}  // namespace svgd::tests
