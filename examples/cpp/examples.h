// Examples that fit a model: a folder of .npy files, one for each of its inputs and labels.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "npy.h"
#include "trainer.h"

namespace svgd {

class Examples {
 public:
  // Throws std::runtime_error if an array is missing, or does not fit svgd.json, `manifest`, in its
  // form or in its numbers.
  Examples(const std::filesystem::path& folder, const nlohmann::json& manifest);

  size_t size() const { return size_; }

  // How many a step takes, where the model leaves no choice; else 0.
  size_t fixed_batch() const { return fixed_batch_; }

  // Some examples, under the names that the model gives them.
  Batch At(const std::vector<size_t>& rows) const;

  // All of them.
  Batch All() const;

 private:
  struct Column {
    std::string name;
    Array array;
    int axis;       // that examples lie along; -1 where a step takes the array whole
    bool squeezed;  // whether that axis goes, as a step takes one example
  };

  Column Read(const std::filesystem::path& folder, const nlohmann::json& tensor,
              const nlohmann::json& manifest, bool one) const;

  std::vector<Column> columns_;
  size_t size_ = 1, fixed_batch_ = 0;
};

// The share of labels that are the class of the highest of their scores; -1 where the loss is none
// of classes. `results` are what Trainer::Evaluate gives of `batch`.
double Accuracy(const nlohmann::json& manifest, const Batch& batch,
                const std::vector<Ort::Value>& results);

}  // namespace svgd
