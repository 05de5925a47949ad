// Trains in C++ what examples/web trains in JavaScript:
//
//     svgd_train FOLDER [--epochs 20] [--batch-size 32] [--learning-rate 0.3] [--threads N]
//     [--curve FILE]
//
// FOLDER is what examples/web/prepare.py writes. The trained checkpoint replaces the one in
// FOLDER/artifacts, for `svgd-onnx export`; --curve writes the loss of each step, as JSON.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <stdexcept>

#include "digits.h"
#include "trainer.h"

namespace {

std::map<std::string, std::string> Options(int count, char** arguments) {
  std::map<std::string, std::string> options = {{"--epochs", "20"},
                                                {"--batch-size", "32"},
                                                {"--learning-rate", "0.3"},
                                                {"--threads", "0"},
                                                {"--curve", ""}};
  if (count % 2) throw std::invalid_argument("usage: svgd_train FOLDER [--option VALUE]...");
  for (int i = 2; i + 1 < count; i += 2) {
    const auto option = options.find(arguments[i]);
    if (option == options.end()) {
      throw std::invalid_argument(std::string("There is no option ") + arguments[i] + ".");
    }
    option->second = arguments[i + 1];
  }
  return options;
}

void Train(const std::filesystem::path& folder, std::map<std::string, std::string> options) {
  const auto data = nlohmann::json::parse(std::ifstream(folder / "digits.json"));
  svgd::Trainer trainer(folder / "artifacts", std::stoi(options["--threads"]));
  const svgd::Digits digits(data.at("train"), trainer.manifest());
  const svgd::Digits test(data.at("test"), trainer.manifest());
  const svgd::Batch test_batch = test.All();
  const auto orders = data.at("orders").get<std::vector<std::vector<size_t>>>();
  const size_t epochs = std::stoul(options["--epochs"]);
  const size_t batch_size = std::stoul(options["--batch-size"]);
  const float learning_rate = std::stof(options["--learning-rate"]);
  if (batch_size == 0 || batch_size > digits.size() || !(learning_rate >= 0)) {
    throw std::invalid_argument("The batch size or the learning rate is out of range.");
  }

  std::vector<float> losses;
  const auto start = std::chrono::steady_clock::now();
  for (size_t epoch = 0; epoch < epochs; ++epoch) {
    const std::vector<size_t>& order = orders.at(epoch % orders.size());
    // What does not fill a last batch is left out.
    for (auto row = order.begin(); static_cast<size_t>(order.end() - row) >= batch_size;) {
      const auto next = row + static_cast<std::ptrdiff_t>(batch_size);
      losses.push_back(trainer.Step(digits.At({row, next}), learning_rate));
      row = next;
    }
    const auto evaluation = trainer.Evaluate(test_batch);
    std::printf("epoch %zu: loss %.4f, test accuracy %.2f %%\n", epoch + 1,
                static_cast<double>(losses.back()), 100 * test.Accuracy(evaluation.at(1)));
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%zu steps in %.1f s\n", losses.size(), seconds.count());
  trainer.Save();
  if (!options["--curve"].empty()) std::ofstream(options["--curve"]) << nlohmann::json(losses);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const auto options = Options(count, arguments);
    Train(arguments[1], options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "svgd_train: %s\n", error.what());
    return 2;
  }
}
