// Trains what `svgd-onnx convert --target onnx` makes, with a stock onnxruntime.
//
// A training step is an ordinary ONNX model: weights and optimizer state go in under their names
// and come out as `<name>.new`. So training is inference, and what is left to do is to feed back,
// to read and to write.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "safetensors.h"

namespace svgd {

// For each input of the model and the label, by name, its values.
using Batch = std::map<std::string, Ort::Value>;

// A training session. Not for several threads at once.
class Trainer {
 public:
  // `folder` has the artifacts; with 0 threads onnxruntime chooses how many. Throws std::exception,
  // as all that follows, if something is missing, damaged, or does not fit.
  explicit Trainer(const std::filesystem::path& folder, int threads = 0);

  // The contents of svgd.json.
  const nlohmann::json& manifest() const { return manifest_; }
  int64_t steps() const { return progress_.at("step"); }

  // One step. Returns the loss of the batch before the update. Throws if that is NaN or infinite;
  // everything is as before the step then.
  float Step(const Batch& batch, float learning_rate);

  // The loss of a batch, and the model's outputs in their order, both as in inference.
  std::vector<Ort::Value> Evaluate(const Batch& batch);

  // Replaces the folder's checkpoint, all at once.
  void Save() const;

 private:
  using Values = std::map<std::string, Ort::Value>;

  Ort::IoBinding Bind(const Values& read, const Values& written);
  Ort::Session Open(const char* name) const;

  std::filesystem::path folder_;
  nlohmann::json manifest_;
  nlohmann::json progress_;
  Ort::Env env_{ORT_LOGGING_LEVEL_ERROR, "svgd"};
  Ort::SessionOptions options_;
  Ort::Session training_{nullptr};
  Ort::Session evaluation_{nullptr};
  // All tensors twice: a step reads one half and writes the other, and the next goes the other way.
  // So nothing is copied, and no step overwrites what it still reads. What no step writes is in the
  // first half only.
  Values halves_[2];
  std::vector<Ort::IoBinding> bindings_;
  int now_ = 0;
};

}  // namespace svgd
