#include "trainer.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <stdexcept>

namespace svgd {
namespace {

constexpr const char* kLoss = "svgd.loss";
constexpr const char* kLearningRate = "svgd.learning_rate";
constexpr const char* kUpdate = "svgd.update";  // of steps that accumulate gradients
constexpr const char* kNew = ".new";
constexpr const char* kProgress = "svgd.progress";
constexpr const char* kCheckpoint = "checkpoint.safetensors";
constexpr int kFormat = 3;  // of svgd.json, the newest that is known

const Ort::MemoryInfo& Cpu() {
  static const auto info = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
  return info;
}

Ort::Value Allocate(const std::vector<int64_t>& shape) {
  Ort::AllocatorWithDefaultOptions allocator;
  return Ort::Value::CreateTensor<float>(allocator, shape.data(), shape.size());
}

template <typename Element>
Ort::Value Scalar(Element& element) {
  return Ort::Value::CreateTensor<Element>(Cpu(), &element, 1, nullptr, 0);
}

// Refuses a model whose own tensors are called as those of a step, which then have other names.
void CheckNames(const nlohmann::json& manifest) {
  for (const char* kind : {"inputs", "outputs", "parameters"}) {
    for (const nlohmann::json& tensor : manifest.at(kind)) {
      const std::string name = tensor.at("name");
      const size_t stem = name.size() - std::min(name.size(), std::string(kNew).size());
      if (name == kLoss || name == kLearningRate || name == kUpdate || name.substr(stem) == kNew) {
        throw std::runtime_error("The model has a tensor '" + name +
                                 "', as a training step has: train it with Python.");
      }
    }
  }
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Trainer::Trainer(const std::filesystem::path& folder, int threads) : folder_(folder) {
  if (!(std::ifstream(folder / "svgd.json") >> manifest_)) {
    throw std::runtime_error("'" + folder.string() + "' has no svgd.json.");
  }
  if (manifest_.value("format", 1) > kFormat) {
    throw std::runtime_error("'" + folder.string() + "' is of a newer svgd-onnx: update this.");
  }
  CheckNames(manifest_);
  options_.SetIntraOpNumThreads(threads);
  training_ = Open("training_step.onnx");
  evaluation_ = Open("eval_model.onnx");

  const Checkpoint checkpoint = ReadCheckpoint(folder / kCheckpoint);
  const auto progress = checkpoint.metadata.find(kProgress);
  if (progress != checkpoint.metadata.end()) {
    progress_ = nlohmann::json::parse(progress->second, nullptr, /*allow_exceptions=*/false);
  }
  if (!progress_.is_object() || !progress_["step"].is_number_integer()) {
    throw std::runtime_error("The checkpoint of '" + folder.string() +
                             "' does not say how far it is.");
  }
  const std::vector<std::string> outputs = training_.GetOutputNames();
  for (const auto& [name, tensor] : checkpoint.tensors) {
    Ort::Value value = Allocate(tensor.shape);
    std::copy(tensor.data.begin(), tensor.data.end(), value.GetTensorMutableData<float>());
    halves_[0].emplace(name, std::move(value));
    if (Contains(outputs, name + kNew)) halves_[1].emplace(name, Allocate(tensor.shape));
  }
  bindings_.push_back(Bind(halves_[0], halves_[1]));
  bindings_.push_back(Bind(halves_[1], halves_[0]));
}

float Trainer::Step(const Batch& batch, float learning_rate) {
  Ort::IoBinding& binding = bindings_[now_];
  for (const auto& [name, value] : batch) binding.BindInput(name.c_str(), value);
  binding.BindInput(kLearningRate, Scalar(learning_rate));
  const int64_t accumulation_steps = manifest_.value("accumulation_steps", int64_t{1});
  const int64_t taken = steps() + 1 - progress_.value("skipped", int64_t{0});
  bool update = taken % accumulation_steps == 0;
  if (accumulation_steps > 1) binding.BindInput(kUpdate, Scalar(update));
  float loss = 0;
  binding.BindOutput(kLoss, Scalar(loss));
  training_.Run(Ort::RunOptions{}, binding);
  if (!std::isfinite(loss)) {
    throw std::runtime_error("The loss or a gradient became " + std::to_string(loss) + " at step " +
                             std::to_string(steps() + 1) + ": lower the learning rate.");
  }
  now_ = 1 - now_;
  progress_["step"] = steps() + 1;
  return loss;
}

std::vector<Ort::Value> Trainer::Evaluate(const Batch& batch) {
  Ort::IoBinding binding(evaluation_);
  for (const std::string& name : evaluation_.GetInputNames()) {
    const auto given = batch.find(name);
    const auto state = halves_[now_].find(name);
    binding.BindInput(name.c_str(), given != batch.end()           ? given->second
                                    : state != halves_[now_].end() ? state->second
                                                                   : halves_[0].at(name));
  }
  for (const std::string& name : evaluation_.GetOutputNames()) {
    binding.BindOutput(name.c_str(), Cpu());
  }
  evaluation_.Run(Ort::RunOptions{}, binding);
  return binding.GetOutputValues();
}

void Trainer::Save() const {
  Checkpoint checkpoint;
  checkpoint.metadata[kProgress] = progress_.dump();
  for (const auto& [name, first] : halves_[0]) {
    const auto state = halves_[now_].find(name);
    const Ort::Value& value = state != halves_[now_].end() ? state->second : first;
    const auto info = value.GetTensorTypeAndShapeInfo();
    const auto* data = value.GetTensorData<float>();
    checkpoint.tensors[name] = {info.GetShape(), {data, data + info.GetElementCount()}};
  }
  WriteCheckpoint(folder_ / kCheckpoint, checkpoint);
}

Ort::IoBinding Trainer::Bind(const Values& read, const Values& written) {
  Ort::IoBinding binding(training_);
  const std::vector<std::string> inputs = training_.GetInputNames();
  for (const auto& [name, first] : halves_[0]) {
    if (!Contains(inputs, name)) continue;
    const auto state = read.find(name);
    binding.BindInput(name.c_str(), state != read.end() ? state->second : first);
  }
  for (const auto& [name, _] : halves_[1]) {
    binding.BindOutput((name + kNew).c_str(), written.at(name));
  }
  return binding;
}

Ort::Session Trainer::Open(const char* name) const {
  return Ort::Session(env_, (folder_ / name).c_str(), options_);
}

}  // namespace svgd
