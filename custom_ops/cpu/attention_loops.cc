// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is.
#include "cpu/attention_loops.h"

#include <math.h>

#include "cpu/exponential.h"
#include "cpu/independent.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

// Numbers that are added up before they join the sum, so that rounding errors stay small.
constexpr size_t kRunKeys = 64;

size_t EndOfRun(size_t first, size_t keys) {
  return first + kRunKeys < keys ? first + kRunKeys : keys;
}

void Finish(const AttentionScores& scores, size_t key, float* row) {
  const float scale = scores.scale;
  const float of_key = scores.of_keys == nullptr ? 0.0F : scores.of_keys[key];
  if (scores.of_each == nullptr) {
    SVGD_INDEPENDENT
    for (size_t c = 0; c < scores.queries; ++c) row[c] = row[c] * scale + of_key;
  } else {
    const float* of_each = scores.of_each + key * scores.pitch;
    SVGD_INDEPENDENT
    for (size_t c = 0; c < scores.queries; ++c) row[c] = row[c] * scale + of_each[c];
  }
}

void Softmax(const AttentionScores& scores, bool nan_as_zero, float* greatest, float* inverse) {
  const size_t count = scores.queries;
  for (size_t c = 0; c < count; ++c) greatest[c] = -INFINITY;
  for (size_t key = 0; key < scores.keys; ++key) {
    float* row = scores.at + key * scores.pitch;
    Finish(scores, key, row);
    SVGD_INDEPENDENT
    for (size_t c = 0; c < count; ++c) greatest[c] = row[c] > greatest[c] ? row[c] : greatest[c];
  }
  float sums[kMostQueries] = {};
  for (size_t first = 0; first < scores.keys; first += kRunKeys) {
    float run[kMostQueries] = {};
    for (size_t key = first; key < EndOfRun(first, scores.keys); ++key) {
      float* row = scores.at + key * scores.pitch;
      SVGD_INDEPENDENT
      for (size_t c = 0; c < count; ++c) {
        row[c] = ExponentialOfNegative(row[c] - greatest[c]);
        run[c] += row[c];
      }
    }
    for (size_t c = 0; c < count; ++c) sums[c] += run[c];
  }
  for (size_t c = 0; c < count; ++c) {
    inverse[c] = nan_as_zero && sums[c] != sums[c] ? 0.0F : 1.0F / sums[c];
  }
  for (size_t key = 0; key < scores.keys; ++key) {
    float* row = scores.at + key * scores.pitch;
    SVGD_INDEPENDENT
    for (size_t c = 0; c < count; ++c) {
      const float p = row[c] * inverse[c];
      row[c] = inverse[c] == 0.0F ? 0.0F : p;
    }
  }
}

void Probabilities(const AttentionScores& scores, const float* greatest, const float* inverse) {
  for (size_t key = 0; key < scores.keys; ++key) {
    float* row = scores.at + key * scores.pitch;
    Finish(scores, key, row);
    SVGD_INDEPENDENT
    for (size_t c = 0; c < scores.queries; ++c) {
      const float p = ExponentialOfNegative(row[c] - greatest[c]) * inverse[c];
      row[c] = inverse[c] == 0.0F ? 0.0F : p;
    }
  }
}

void ScoreGradient(const AttentionScores& p, float* d_p, const float* inverse) {
  const size_t count = p.queries;
  const float scale = p.scale;
  float sums[kMostQueries] = {};
  for (size_t first = 0; first < p.keys; first += kRunKeys) {
    float run[kMostQueries] = {};
    for (size_t key = first; key < EndOfRun(first, p.keys); ++key) {
      const float* of_p = p.at + key * p.pitch;
      const float* row = d_p + key * p.pitch;
      SVGD_INDEPENDENT
      for (size_t c = 0; c < count; ++c) run[c] += of_p[c] * row[c];
    }
    for (size_t c = 0; c < count; ++c) sums[c] += run[c];
  }
  for (size_t key = 0; key < p.keys; ++key) {
    const float* of_p = p.at + key * p.pitch;
    float* row = d_p + key * p.pitch;
    SVGD_INDEPENDENT
    for (size_t c = 0; c < count; ++c) {
      const float gradient = scale * (of_p[c] * (row[c] - sums[c]));
      row[c] = inverse[c] == 0.0F ? 0.0F : gradient;
    }
  }
}

}  // namespace

extern const AttentionLoops kAttention = {Softmax, Probabilities, ScoreGradient};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
