#include "trainer.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "files.h"

namespace svgd {
namespace {

constexpr const char* kLearningRate = "svgd.learning_rate";
constexpr const char* kUpdate = "svgd.update";  // of steps that accumulate gradients
constexpr const char* kNew = ".new";
constexpr const char* kProgress = "svgd.progress";
constexpr const char* kCheckpoint = "checkpoint.safetensors";
constexpr int kFormat = 4;  // of svgd.json, the newest that is known

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

// A name of a step beside those of the model's own tensors, which keep theirs: the first that is
// free.
std::string Beside(std::string name, const std::set<std::string>& own) {
  while (own.count(name) > 0) name += '~';
  return name;
}

nlohmann::json ReadManifest(const std::filesystem::path& folder) {
  const std::string title = "'" + folder.string() + "'";
  if (!std::filesystem::is_regular_file(folder / "svgd.json")) {
    throw std::runtime_error(title +
                             " holds no training artifacts (there is no svgd.json in it): make "
                             "them with svgd-onnx convert --target onnx.");
  }
  const auto manifest =
      nlohmann::json::parse(ReadFile(folder / "svgd.json"), nullptr, /*allow_exceptions=*/false);
  if (manifest.is_discarded()) {
    throw std::runtime_error("The svgd.json of " + title + " is damaged: convert the model again.");
  }
  if (!manifest.is_object() || !manifest.contains("format") || !manifest.contains("target")) {
    throw std::runtime_error("The svgd.json of " + title + " is none of svgd-onnx's.");
  }
  if (manifest["format"] > kFormat) {
    throw std::runtime_error(title + " has format " + manifest["format"].dump() +
                             ", and this reads up to " + std::to_string(kFormat) + ": update it.");
  }
  if (manifest["target"] != "onnx") {
    throw std::runtime_error(title + " is of the target " + manifest["target"].dump() +
                             ", and this trains those of onnx: convert with --target onnx.");
  }
  return manifest;
}

// Refuses a checkpoint that lacks a tensor of svgd.json, or has it in another shape.
void CheckTensors(const nlohmann::json& manifest, const Checkpoint& checkpoint) {
  const auto check = [&](const std::string& name, const nlohmann::json& shape) {
    const auto found = checkpoint.tensors.find(name);
    if (found != checkpoint.tensors.end() && nlohmann::json(found->second.shape) == shape) return;
    throw std::runtime_error("The checkpoint is that of another model: '" + name +
                             "' is missing or has another shape.");
  };
  for (const auto& parameter : manifest.at("parameters")) {
    check(parameter.at("name"), parameter.at("shape"));
  }
  for (const auto& operation : manifest.at("operations")) {
    const auto& state = operation.at("state");
    if (!state.is_null()) check(state, operation.at("state_shape"));
  }
  for (const auto& state : manifest.value("states", nlohmann::json::array())) {
    check(state.at("name"), state.at("shape"));
  }
}

// Refuses a checkpoint that was trained by other artifacts of the same shapes.
void CheckConversion(const nlohmann::json& manifest, const nlohmann::json& progress) {
  std::map<std::string, nlohmann::json> here = {{"the optimizer", manifest.at("optimizer")}};
  if (manifest.value("losses", nlohmann::json::array()).empty()) {
    here["the loss"] = manifest.at("loss");
  }
  const auto sources = manifest.value("source", nlohmann::json());
  if (sources.is_object()) {
    std::multiset<std::string> hashes;
    for (const auto& [_, hash] : sources.items()) hashes.insert(hash.get<std::string>());
    std::string source;
    for (const std::string& hash : hashes) source += (source.empty() ? "" : "+") + hash;
    here["the model's SHA-256"] = source;
  }
  const auto conversion = progress.value("conversion", nlohmann::json::object());
  for (const auto& [name, value] : here) {
    if (!conversion.contains(name) || conversion.at(name) == value) continue;
    throw std::runtime_error("The checkpoint was trained by another conversion: " + name + " was " +
                             conversion.at(name).dump() + ", and is " + value.dump() + ".");
  }
}

// What a session throws, which is of several lines, in one.
std::runtime_error Refusal(const Ort::Exception& error) {
  std::string reason = error.what();
  const std::string before = "Status Message: ";
  const size_t at = reason.rfind(before);
  if (at != std::string::npos) reason = reason.substr(at + before.size());
  return std::runtime_error(
      "onnxruntime cannot run the model on this batch (" + reason.substr(0, reason.find('\n')) +
      "): see whether the sizes and indices in the data are ones that the model can take.");
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

nlohmann::json LossesOf(const nlohmann::json& manifest) {
  const auto several = manifest.value("losses", nlohmann::json::array());
  if (!several.empty()) return several;
  nlohmann::json one = {{"settings", manifest.at("loss_settings")}};
  for (const char* key : {"loss", "prediction", "label", "logits_shape"}) {
    one[key] = manifest.at(key);
  }
  return nlohmann::json::array({one});
}

std::vector<nlohmann::json> ArraysOf(const nlohmann::json& manifest) {
  auto arrays = manifest.at("inputs").get<std::vector<nlohmann::json>>();
  for (const nlohmann::json& loss : LossesOf(manifest)) {
    if (!loss.at("label").is_null()) arrays.push_back(loss.at("label"));
  }
  return arrays;
}

Trainer::Trainer(const std::filesystem::path& folder, int threads)
    : folder_(folder), manifest_(ReadManifest(folder)), lock_(folder) {
  for (const char* kind : {"inputs", "outputs", "parameters"}) {
    for (const nlohmann::json& tensor : manifest_.at(kind)) taken_.insert(tensor.at("name"));
  }
  rate_ = Beside(kLearningRate, taken_);
  update_ = Beside(kUpdate, taken_);
  options_.SetIntraOpNumThreads(threads);
  training_ = Open("training_step.onnx");
  evaluation_ = Open("eval_model.onnx");
  for (const std::string& name : training_.GetInputNames()) taken_.insert(name);

  const Checkpoint checkpoint = ReadCheckpoint(folder / kCheckpoint);
  const auto progress = checkpoint.metadata.find(kProgress);
  if (progress != checkpoint.metadata.end()) {
    progress_ = nlohmann::json::parse(progress->second, nullptr, /*allow_exceptions=*/false);
  }
  if (!progress_.is_object() || !progress_["step"].is_number_unsigned()) {
    throw std::runtime_error("The checkpoint of '" + folder.string() +
                             "' does not say how far it is.");
  }
  CheckTensors(manifest_, checkpoint);
  CheckConversion(manifest_, progress_);
  const std::vector<std::string> outputs = training_.GetOutputNames();
  for (const auto& [name, tensor] : checkpoint.tensors) {
    Ort::Value value = Allocate(tensor.shape);
    std::copy(tensor.data.begin(), tensor.data.end(), value.GetTensorMutableData<float>());
    halves_[0].emplace(name, std::move(value));
    if (Contains(outputs, New(name))) halves_[1].emplace(name, Allocate(tensor.shape));
  }
  bindings_.push_back(Bind(halves_[0], halves_[1]));
  bindings_.push_back(Bind(halves_[1], halves_[0]));
}

float Trainer::Step(const Batch& batch, float learning_rate) {
  Ort::IoBinding& binding = bindings_[now_];
  for (const auto& [name, value] : batch) binding.BindInput(name.c_str(), value);
  binding.BindInput(rate_.c_str(), Scalar(learning_rate));
  const int64_t accumulation_steps = manifest_.value("accumulation_steps", int64_t{1});
  const int64_t taken = steps() + 1 - progress_.value("skipped", int64_t{0});
  bool update = taken % accumulation_steps == 0;
  if (accumulation_steps > 1) binding.BindInput(update_.c_str(), Scalar(update));
  float loss = 0;
  binding.BindOutput(training_.GetOutputNames().at(0).c_str(), Scalar(loss));
  Run(training_, binding);
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
  Run(evaluation_, binding);
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

void Trainer::Run(Ort::Session& session, const Ort::IoBinding& binding) try {
  session.Run(Ort::RunOptions{}, binding);
} catch (const Ort::Exception& error) {
  throw Refusal(error);
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
    binding.BindOutput(New(name).c_str(), written.at(name));
  }
  return binding;
}

std::string Trainer::New(const std::string& name) const { return Beside(name + kNew, taken_); }

void Trainer::Describe(uint64_t seed, size_t batch_size) {
  progress_["seed"] = seed;
  progress_["batch_size"] = batch_size;
}

Ort::Session Trainer::Open(const char* name) const {
  if (!std::filesystem::is_regular_file(folder_ / name)) {
    throw std::runtime_error("'" + folder_.string() + "' has no " + name +
                             ": convert the model again, and put the checkpoint in its place.");
  }
  const auto hashes = manifest_.value("files", nlohmann::json::object());
  if (hashes.contains(name) && hashes.at(name) != Sha256(ReadFile(folder_ / name))) {
    throw std::runtime_error("'" + folder_.string() + "' has another " + name +
                             " than was made with its svgd.json (its SHA-256 is another): convert "
                             "the model again, and put the checkpoint in its place.");
  }
  return Ort::Session(env_, (folder_ / name).c_str(), options_);
}

}  // namespace svgd
