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
#include <set>
#include <string>
#include <vector>

#include "files.h"
#include "safetensors.h"

namespace svgd {

// For each input of the model and each label, by name, its values.
using Batch = std::map<std::string, Ort::Value>;

// The losses of svgd.json, one or several, each with its label or null.
nlohmann::json LossesOf(const nlohmann::json& manifest);

// What a step takes: the inputs and the labels, as svgd.json has them.
std::vector<nlohmann::json> ArraysOf(const nlohmann::json& manifest);

// A training session, which holds its folder as long as it lives. Not for several threads at once.
class Trainer {
 public:
  // `folder` has artifacts of the target onnx; with 0 threads onnxruntime chooses how many. Throws
  // std::exception, as all that follows, if something is missing, damaged, or does not fit.
  explicit Trainer(const std::filesystem::path& folder, int threads = 0);

  // The contents of svgd.json.
  const nlohmann::json& manifest() const { return manifest_; }
  int64_t steps() const { return progress_.at("step"); }

  // What the checkpoint says of the run beside it: seed, batch_size, ...; Describe changes it, so
  // that another program goes on as this one would.
  const nlohmann::json& progress() const { return progress_; }
  void Describe(uint64_t seed, size_t batch_size);

  // One step. Returns the loss of the batch before the update. Throws if that is NaN or infinite;
  // everything is as before the step then.
  float Step(const Batch& batch, float learning_rate);

  // The loss of a batch, the model's outputs in their order, and each of several losses without its
  // weight; all as in inference.
  std::vector<Ort::Value> Evaluate(const Batch& batch);

  // Replaces the folder's checkpoint, all at once.
  void Save() const;

 private:
  using Values = std::map<std::string, Ort::Value>;

  static void Run(Ort::Session& session, const Ort::IoBinding& binding);
  Ort::IoBinding Bind(const Values& read, const Values& written);
  Ort::Session Open(const char* name) const;
  std::string New(const std::string& name) const;  // what a step calls a tensor after it

  std::filesystem::path folder_;
  nlohmann::json manifest_;
  FolderLock lock_;
  nlohmann::json progress_;
  std::set<std::string> taken_;  // names of the model's own tensors, and of a step's inputs
  std::string rate_, update_;
  Ort::Env env_{ORT_LOGGING_LEVEL_FATAL, "svgd"};  // what fails is thrown
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
