// Runs cases that follow from seeds, one after another, and says which were wrong.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace svgd::tests {

using Random = std::mt19937_64;

inline size_t From(Random& random, size_t least, size_t most) {
  return least + static_cast<size_t>(random() % (most - least + 1));
}

// Once in so many times.
inline bool One(Random& random, size_t of) { return From(random, 1, of) == 1; }

// A program's main: arguments are how many cases, and the seed of the first. `is_right(random, i)`
// tries the case number i.
template <typename Case>
int Fuzz(int argc, char** argv, const char* name, const Case& is_right) {
  const auto cases = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000;
  const auto seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  size_t wrong = 0;
  for (size_t i = 0; i < cases; ++i) {
    Random random(seed + i);
    if (is_right(random, i)) continue;
    std::printf("seed %zu, case %zu, is wrong\n", static_cast<size_t>(seed) + i, i);
    ++wrong;
  }
  std::printf("%s: %zu cases, %zu wrong\n", name, static_cast<size_t>(cases), wrong);
  return wrong == 0 ? 0 : 1;
}

}  // namespace svgd::tests
