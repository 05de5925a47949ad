// scikit-learn's handwritten digits, as examples/web/prepare.py writes them.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "trainer.h"

namespace svgd {

// Examples of one split.
class Digits {
 public:
  // `split` has images, of 64 pixels from 0 to 16, and labels; `manifest` is the Trainer's.
  Digits(const nlohmann::json& split, const nlohmann::json& manifest);

  size_t size() const { return labels_.size(); }

  // The examples of some rows, under the names that the model gives them.
  Batch At(const std::vector<size_t>& rows) const;

  // All of them.
  Batch All() const;

  // The share of rows, all of them, whose label has the highest of its scores.
  double Accuracy(const Ort::Value& scores) const;

 private:
  std::vector<std::vector<float>> images_;
  std::vector<int64_t> labels_;
  std::string image_name_, label_name_;
  std::vector<int64_t> image_shape_;
};

}  // namespace svgd
