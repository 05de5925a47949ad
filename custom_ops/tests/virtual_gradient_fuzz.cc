// T on random shapes, types, attributes and numbers, NaN and infinities among them; to be run under
// sanitizers. Arguments: how many cases, and the seed of the first.
//
// Each case runs three times: in order; in place, its tasks in the reverse order; and, of some, on
// threads. All have to give the same bits, and r what its formula says.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "cpu/virtual_gradient_kernel.h"
#include "fuzz.h"
#include "parallel_for.h"

namespace {

using svgd::Compute;
using svgd::VirtualGradientAttributes;
using svgd::VirtualGradientShape;
using svgd::tests::InOrder;
using svgd::tests::InReverse;
using svgd::tests::OnThreads;
using svgd::tests::Random;

constexpr size_t kMostElements = 1 << 16;

size_t Below(Random& random, size_t bound) { return random() % bound; }

// Tall, wide and deep ones, 0 and 1, and both sides of the powers of two that loops are cut at.
size_t Size(Random& random, size_t most) {
  if (most == 0) return 0;
  size_t size = 0;
  switch (Below(random, 8)) {
    case 0:
      size = Below(random, 2);
      break;
    case 1:
      size = most;
      break;
    case 2:
      size = (size_t{1} << Below(random, 17)) + Below(random, 3) - 1;
      break;
    case 3:
      size = Below(random, most + 1);
      break;
    default:
      size = 1 + Below(random, 40);
  }
  return std::min(size, most);
}

VirtualGradientShape RandomShape(Random& random) {
  const size_t most = size_t{1} << (4 + Below(random, 13));
  size_t sizes[3] = {1, 1, 1};
  size_t left = std::min(most, kMostElements);
  for (const size_t axis : {Below(random, 3), Below(random, 3), Below(random, 3)}) {
    if (sizes[axis] != 1) continue;
    sizes[axis] = Size(random, left);
    left /= std::max<size_t>(sizes[axis], 1);
  }
  VirtualGradientShape shape{sizes[0], sizes[1], sizes[2]};
  if (shape.inner == 1 && shape.channels > 0 && Below(random, 2) == 0) {
    shape.first_of_r = std::gcd(shape.channels, 1 + Below(random, 64));
  }
  return shape;
}

VirtualGradientAttributes RandomAttributes(Random& random) {
  constexpr float kRho[] = {0.0F, 0.5F, 0.9F, 0.99999994F};
  constexpr float kEpsilon[] = {1e-45F, 1e-6F, 1.0F, 3e38F};
  constexpr float kScale[] = {1e-45F, 0.01F, 82.0F, 3e38F};
  constexpr float kFactor[] = {1.0F, 32.0F, 1024.0F, 65536.0F};
  return {kRho[Below(random, 4)], kEpsilon[Below(random, 4)], kScale[Below(random, 4)],
          kFactor[Below(random, 4)]};
}

double RandomNumber(Random& random, bool wild) {
  constexpr double kWild[] = {0.0,  -0.0, 1e-45, 6e-8,  65504.0, 65520.0,
                              1e19, 2e19, 3e38,  1e300, 1e-310,  -3e38};
  if (wild && Below(random, 8) == 0) {
    const size_t which = Below(random, 15);
    if (which == 12) return std::numeric_limits<double>::quiet_NaN();
    if (which > 12) return (which == 13 ? 1 : -1) * std::numeric_limits<double>::infinity();
    return kWild[which];
  }
  return std::normal_distribution<double>(0.0, 0.1)(random);
}

template <typename Element>
Element Made(Random& random, bool wild) {
  if constexpr (sizeof(Element) == 2) {
    // Any 16 bits are a number of either kind.
    if (wild) return Element{static_cast<uint16_t>(random())};
    const auto number = static_cast<float>(RandomNumber(random, false));
    uint32_t bits = 0;
    std::memcpy(&bits, &number, sizeof bits);
    return Element{static_cast<uint16_t>(bits >> 16U)};
  } else {
    return static_cast<Element>(RandomNumber(random, wild));
  }
}

// An array of its own: a sanitizer sees what is read or written beside it.
template <typename Type>
struct Array {
  explicit Array(size_t count) : size(count), data(new Type[count]()) {}
  Array(const Array& other) : Array(other.size) {
    std::copy(other.data.get(), other.data.get() + size, data.get());
  }
  Array& operator=(const Array&) = delete;
  ~Array() = default;
  bool SameBits(const Array& other) const {
    for (size_t i = 0; i < size; ++i) {
      if (std::memcmp(&data[i], &other.data[i], sizeof(Type)) != 0 && !BothNan(i, other)) {
        return false;
      }
    }
    return true;
  }
  bool BothNan(size_t i, const Array& other) const {
    if constexpr (std::is_floating_point_v<Type>) {
      return std::isnan(data[i]) && std::isnan(other.data[i]);
    } else {
      return false;
    }
  }
  size_t size;
  std::unique_ptr<Type[]> data;
};

// What r has to become, where all is finite: within rounding.
template <typename Number>
bool FollowsFormula(const Array<Number>& dy, const Array<Number>& r, const Array<Number>& r_new,
                    const VirtualGradientShape& shape,
                    const VirtualGradientAttributes& attributes) {
  const size_t count = shape.outer * shape.inner;
  if (count == 0) return r.SameBits(r_new);
  const auto tolerance = 1e4 * static_cast<double>(std::numeric_limits<Number>::epsilon());
  for (size_t c = 0; c < shape.channels; ++c) {
    double sum = 0;
    for (size_t o = 0; o < shape.outer; ++o) {
      for (size_t i = 0; i < shape.inner; ++i) {
        const auto dyi = static_cast<double>(dy.data[(o * shape.channels + c) * shape.inner + i]);
        sum += std::pow(static_cast<double>(attributes.batch_factor) * dyi, 2);
      }
    }
    const size_t of_r = c % shape.first_of_r * (shape.channels / shape.first_of_r);
    const size_t place = of_r + c / shape.first_of_r;
    const auto rho = static_cast<double>(attributes.rho);
    const double expected =
        rho * static_cast<double>(r.data[place]) +
        static_cast<double>(1.0F - attributes.rho) * sum / static_cast<double>(count);
    const auto found = static_cast<double>(r_new.data[place]);
    // Squares and their sum may leave what a float holds, or not be normal numbers; NaN skips too.
    const auto most = static_cast<double>(std::numeric_limits<float>::max());
    if (!(sum < 1e-3 * most) || sum < 1e-20 || expected < 1e-30 || !(expected < 1e-3 * most))
      continue;
    if (!(std::abs(found - expected) <= tolerance * expected)) return false;
  }
  return true;
}

template <typename Element>
bool Case(Random& random) {
  using Number = Compute<Element>;
  const VirtualGradientShape shape = RandomShape(random);
  const VirtualGradientAttributes attributes = RandomAttributes(random);
  const bool wild = Below(random, 2) == 0;
  const bool factors_only = Below(random, 3) == 0;
  Array<Element> dy(shape.outer * shape.channels * shape.inner);
  Array<Number> r(shape.channels);
  for (size_t i = 0; i < dy.size; ++i) dy.data[i] = Made<Element>(random, wild);
  for (size_t i = 0; i < r.size; ++i) {
    r.data[i] = static_cast<Number>(std::abs(RandomNumber(random, wild)));
  }
  Array<Element> out(factors_only ? 0 : dy.size);
  const bool summed = shape.inner == 1 && Below(random, 2) == 0;
  Array<Number> r_new(r.size), factors(r.size), sums(summed ? r.size : 0);
  size_t threads = 3;
  const auto run = [&](const Element* from, const Number* from_r, Element* to, Number* to_r,
                       Number* to_factors, Number* to_sums, svgd::ParallelFor parallel_for) {
    svgd::VirtualGradient(from, from_r, factors_only ? nullptr : to, to_r, to_factors, shape,
                          attributes, parallel_for, &threads, summed ? to_sums : nullptr);
  };
  run(dy.data.get(), r.data.get(), out.data.get(), r_new.data.get(), factors.data.get(),
      sums.data.get(), InOrder);
  const auto again = [&](svgd::ParallelFor parallel_for) {
    Array<Element> same(dy);
    Array<Number> same_r(r), same_factors(r.size), same_sums(sums.size);
    run(same.data.get(), same_r.data.get(), same.data.get(), same_r.data.get(),
        same_factors.data.get(), same_sums.data.get(), parallel_for);
    return same_r.SameBits(r_new) && same_sums.SameBits(sums) &&
           (factors_only ? same_factors.SameBits(factors) : same.SameBits(out));
  };
  bool right = again(InReverse);
  if (Below(random, 16) == 0) right = again(OnThreads) && right;
  if constexpr (sizeof(Element) != 2) {
    right = FollowsFormula(dy, r, r_new, shape, attributes) && right;
  }
  if (!right) {
    std::printf("(%zu, %zu, %zu; %zu) rho %g epsilon %g scale %g factor %g: ", shape.outer,
                shape.channels, shape.inner, shape.first_of_r, static_cast<double>(attributes.rho),
                static_cast<double>(attributes.epsilon), static_cast<double>(attributes.scale),
                static_cast<double>(attributes.batch_factor));
  }
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  return svgd::tests::Fuzz(argc, argv, "kernels", [](Random& random, size_t i) {
    switch (i % 4) {
      case 0:
        return Case<float>(random);
      case 1:
        return Case<double>(random);
      case 2:
        return Case<svgd::Float16>(random);
      default:
        return Case<svgd::BFloat16>(random);
    }
  });
}
