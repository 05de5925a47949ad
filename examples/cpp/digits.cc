#include "digits.h"

#include <algorithm>
#include <numeric>

namespace svgd {
namespace {

constexpr float kWhite = 16;

}  // namespace

Digits::Digits(const nlohmann::json& split, const nlohmann::json& manifest)
    : images_(split.at("images").get<std::vector<std::vector<float>>>()),
      labels_(split.at("labels").get<std::vector<int64_t>>()) {
  const auto& input = manifest.at("inputs").at(0);
  input.at("name").get_to(image_name_);
  manifest.at("label").at("name").get_to(label_name_);
  for (const auto& size : input.at("shape")) {
    image_shape_.push_back(size.is_number() ? size.get<int64_t>() : 0);  // only the batch is open
  }
  for (auto& image : images_) {
    for (float& pixel : image) pixel /= kWhite;
  }
}

Batch Digits::At(const std::vector<size_t>& rows) const {
  const auto count = static_cast<int64_t>(rows.size());
  std::vector<int64_t> shape = image_shape_;
  shape[0] = count;
  Ort::AllocatorWithDefaultOptions allocator;
  auto images = Ort::Value::CreateTensor<float>(allocator, shape.data(), shape.size());
  auto labels = Ort::Value::CreateTensor<int64_t>(allocator, &count, 1);
  float* pixel = images.GetTensorMutableData<float>();
  int64_t* label = labels.GetTensorMutableData<int64_t>();
  for (size_t row : rows) {
    pixel = std::copy(images_.at(row).begin(), images_.at(row).end(), pixel);
    *label++ = labels_.at(row);
  }
  Batch batch;
  batch.emplace(image_name_, std::move(images));
  batch.emplace(label_name_, std::move(labels));
  return batch;
}

Batch Digits::All() const {
  std::vector<size_t> rows(size());
  std::iota(rows.begin(), rows.end(), size_t{0});
  return At(rows);
}

double Digits::Accuracy(const Ort::Value& scores) const {
  const size_t classes = scores.GetTensorTypeAndShapeInfo().GetElementCount() / size();
  const float* first = scores.GetTensorData<float>();
  int64_t right = 0;
  for (int64_t label : labels_) {
    right += std::max_element(first, first + classes) - first == label;
    first += classes;
  }
  return static_cast<double>(right) / static_cast<double>(size());
}

}  // namespace svgd
