// Trains any artifacts of the target onnx:
//
//     svgd_train ARTIFACTS --data FOLDER [--validation FOLDER] [--epochs 20] [--batch-size 32]
//     [--learning-rate 0.3] [--seed 0] [--threads N] [--curve FILE]
//
// A folder of data has a .npy file for each input and label of the model. Examples come in the
// order in which `svgd-onnx train` takes them by the same seed, and a checkpoint that was trained
// goes on. It replaces the one in ARTIFACTS, for `svgd-onnx export`; --curve writes the loss of
// each step, as JSON.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <stdexcept>
#include <thread>

#include "examples.h"
#include "files.h"
#include "order.h"
#include "trainer.h"

namespace {

using Options = std::map<std::string, std::string>;

Options ReadOptions(int count, char** arguments) {
  Options options = {{"--data", ""},         {"--validation", ""}, {"--epochs", "20"},
                     {"--batch-size", "32"}, {"--seed", "0"},      {"--learning-rate", "0.3"},
                     {"--threads", "0"},     {"--curve", ""}};
  if (count % 2) {
    throw std::invalid_argument("usage: svgd_train ARTIFACTS --data FOLDER [--option VALUE]...");
  }
  for (int i = 2; i + 1 < count; i += 2) {
    const auto option = options.find(arguments[i]);
    if (option == options.end()) {
      throw std::invalid_argument(std::string("There is no option ") + arguments[i] + ".");
    }
    option->second = arguments[i + 1];
  }
  return options;
}

size_t Whole(const Options& options, const char* name) {
  const std::string& text = options.at(name);
  try {
    // stoull takes a minus, and what precedes it, too
    if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos) {
      return std::stoull(text);
    }
  } catch (const std::out_of_range&) {
  }
  throw std::invalid_argument(std::string(name) + " is '" + text +
                              "', but must be a whole number from 0 to 18446744073709551615.");
}

float Rate(const Options& options) {
  const std::string& text = options.at("--learning-rate");
  size_t end = 0;
  try {
    const float rate = std::stof(text, &end);
    if (end == text.size() && rate >= 0 && std::isfinite(rate)) return rate;
  } catch (const std::logic_error&) {
  }
  throw std::invalid_argument("--learning-rate is '" + text +
                              "', but must be a number of 0 or more that float32 holds.");
}

// 0 is onnxruntime's choice.
int Threads(const Options& options) {
  const size_t threads = Whole(options, "--threads");
  const size_t most = std::max(64u, 4 * std::thread::hardware_concurrency());
  if (threads <= most) return static_cast<int>(threads);
  throw std::invalid_argument("--threads is " + std::to_string(threads) + ", but must be at most " +
                              std::to_string(most) + " on this machine.");
}

// Refuses to go on otherwise than the checkpoint was trained, which `svgd-onnx train` can do.
void CheckProgress(const nlohmann::json& progress, uint64_t seed, size_t batch_size) {
  const auto trained_with = progress.value("batch_size", size_t{0});
  if (progress.at("step") == 0 || trained_with == 0) return;
  const auto origin = progress.value("origin", nlohmann::json::object());
  if (trained_with != batch_size || progress.value("seed", uint64_t{0}) != seed ||
      origin.value("first_step", 0) != 0) {
    throw std::invalid_argument("The checkpoint was trained with batches of " +
                                std::to_string(trained_with) + " and the seed " +
                                progress.value("seed", nlohmann::json(0)).dump() +
                                ": go on with these, or with svgd-onnx train.");
  }
}

void Validate(svgd::Trainer& trainer, const svgd::Batch& batch) {
  const auto results = trainer.Evaluate(batch);
  std::printf(", validation loss %.4f", static_cast<double>(*results.at(0).GetTensorData<float>()));
  const double accuracy = svgd::Accuracy(trainer.manifest(), batch, results);
  if (accuracy >= 0) std::printf(", accuracy %.2f %%", 100 * accuracy);
}

void Train(const std::filesystem::path& folder, const Options& options) {
  const size_t epochs = Whole(options, "--epochs");
  const size_t batch_size = Whole(options, "--batch-size");
  const uint64_t seed = Whole(options, "--seed");
  const float learning_rate = Rate(options);
  if (options.at("--data").empty()) throw std::invalid_argument("--data is missing.");
  const std::filesystem::path curve = options.at("--curve");
  if (!curve.empty()) {
    svgd::CheckDestination(curve, {folder, options.at("--data"), options.at("--validation")});
  }
  svgd::Trainer trainer(folder, Threads(options));
  const svgd::Examples examples(options.at("--data"), trainer.manifest());
  std::optional<svgd::Batch> validation;
  if (!options.at("--validation").empty()) {
    const svgd::Examples held_out(options.at("--validation"), trainer.manifest());
    if (held_out.fixed_batch() > 0 && held_out.size() != held_out.fixed_batch()) {
      throw std::invalid_argument("The model takes " + std::to_string(held_out.fixed_batch()) +
                                  " examples at once: give so many to validate.");
    }
    validation = held_out.All();
  }
  const size_t fixed = examples.fixed_batch();
  if (batch_size == 0 || batch_size > examples.size() || (fixed > 0 && batch_size != fixed)) {
    throw std::invalid_argument(
        "--batch-size is " + std::to_string(batch_size) + ", but must be " +
        (fixed > 0 ? std::to_string(fixed) : "1 to " + std::to_string(examples.size())) + ".");
  }
  CheckProgress(trainer.progress(), seed, batch_size);
  trainer.Describe(seed, batch_size);

  std::vector<float> losses;
  const auto start = std::chrono::steady_clock::now();
  const size_t steps = examples.size() / batch_size;  // what does not fill a last batch is left out
  for (auto step = static_cast<size_t>(trainer.steps()); step < epochs * steps;) {
    const size_t epoch = step / steps;
    const std::vector<size_t> order = svgd::ShuffledRows(examples.size(), seed, epoch);
    for (; step < (epoch + 1) * steps; ++step) {
      const auto row = order.begin() + static_cast<std::ptrdiff_t>(step % steps * batch_size);
      const auto next = row + static_cast<std::ptrdiff_t>(batch_size);
      losses.push_back(trainer.Step(examples.At({row, next}), learning_rate));
    }
    std::printf("epoch %zu: loss %.4f", epoch + 1, static_cast<double>(losses.back()));
    if (validation) Validate(trainer, *validation);
    std::printf("\n");
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%zu steps in %.1f s\n", losses.size(), seconds.count());
  trainer.Save();
  if (!curve.empty()) {
    svgd::WriteFile(curve, [&](std::ostream& file) { file << nlohmann::json(losses); });
  }
}

// Text as a terminal may have it: of names that come from files, too.
std::string Printable(const std::string& text) {
  std::string printable;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_second = i + 1 < text.size() && byte == 0xc2 && (text[i + 1] & 0xe0) == 0x80;
    if (byte >= 0x20 && byte != 0x7f && !is_second) {
      printable += text[i];
    } else {
      i += is_second;
      printable += '?';
    }
  }
  return printable;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const Options options = ReadOptions(count, arguments);
    Train(arguments[1], options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "svgd_train: %s\n", Printable(error.what()).c_str());
    return 2;
  }
}
