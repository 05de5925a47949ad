#include "cpu/batch_normalization_cpu.h"

#include <string>

#include "cpu/batch_normalization_kernel.h"
#include "cpu/session_threads.h"
#include "status.h"

namespace svgd {
namespace {

constexpr char kProvider[] = "CPUExecutionProvider";
constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
constexpr Port kOptionalFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_OPTIONAL};

bool HasRelu(const Attributes& attributes) { return attributes.Integer("relu").value_or(0) != 0; }

// x (..., C) as rows; the inputs from `first` up to `last` have an entry for each channel.
NormalizedShape ShapeOf(const RunContext& context, size_t x, size_t first, size_t last) {
  const Shape shape = context.InputShape(x);
  if (shape.empty()) throw Refusal("X has no axes.");
  for (size_t index = first; index < last; ++index) {
    const Shape of_channels = context.InputShape(index);
    if (of_channels != Shape{shape.back()}) {
      throw Refusal("input " + std::to_string(index) + " has shape " + Text(of_channels) +
                    ", but must have an entry for each of the last axis of X, which has " +
                    Text(shape) + ".");
    }
  }
  return {Size({shape.begin(), shape.end() - 1}), static_cast<size_t>(shape.back())};
}

void CheckWhole(const RunContext& context, size_t index, const Shape& x) {
  const Shape given = context.InputShape(index);
  if (given != x) {
    throw Refusal("input " + std::to_string(index) + " has shape " + Text(given) + ", but X has " +
                  Text(x) + ".");
  }
}

// Inputs X (..., C), scale, shift, running mean and running variance (C), and with relu, if wanted,
// what is added before it, of X's shape; outputs Y, the new running mean and variance, which lie
// where those lie, the batch's mean and 1 / standard deviation. Attributes epsilon, momentum, relu.
class Normalization final : public OpKernel {
 public:
  explicit Normalization(const Attributes& attributes)
      : attributes_{attributes.Float("epsilon").value_or(1e-5F),
                    attributes.Float("momentum").value_or(0.9F), HasRelu(attributes)} {}

  void Run(const RunContext& context) const override {
    const NormalizedShape shape = ShapeOf(context, 0, 1, 5);
    const float* residual = context.InputData<float>(5);
    if (residual != nullptr) {
      if (!attributes_.relu) throw Refusal("a residual is given, but no relu.");
      CheckWhole(context, 5, context.InputShape(0));
    }
    const Shape channels{static_cast<int64_t>(shape.channels)};
    SessionThreads threads{context};
    BatchNormalization(
        {context.InputData<float>(0), context.InputData<float>(1), context.InputData<float>(2),
         context.InputData<float>(3), context.InputData<float>(4), residual},
        {context.OutputData<float>(0, context.InputShape(0)),
         context.OutputData<float>(1, channels), context.OutputData<float>(2, channels),
         context.OutputData<float>(3, channels), context.OutputData<float>(4, channels)},
        shape, attributes_, {SessionThreads::ParallelFor, &threads});
  }

 private:
  const NormalizationAttributes attributes_;
};

// Inputs dY and X (..., C), scale, the batch's mean and 1 / standard deviation (C), with the
// attribute relu the shift (C), and where something was added before it, Y; outputs dX, which may
// lie where dY lies, the gradients of scale and shift, and for Y that of what was added.
class Gradient final : public OpKernel {
 public:
  explicit Gradient(const Attributes& attributes) : relu_{HasRelu(attributes)} {}

  void Run(const RunContext& context) const override {
    const float* y = context.InputData<float>(6);
    const NormalizedShape shape = ShapeOf(context, 1, 2, relu_ ? 6 : 5);
    const Shape whole = context.InputShape(1);
    CheckWhole(context, 0, whole);
    if (y != nullptr) CheckWhole(context, 6, whole);
    if (y != nullptr && !relu_) throw Refusal("Y is given, but no relu.");
    const Shape channels{static_cast<int64_t>(shape.channels)};
    SessionThreads threads{context};
    BatchNormalizationGradient(
        {context.InputData<float>(0), context.InputData<float>(1), context.InputData<float>(2),
         context.InputData<float>(3), context.InputData<float>(4),
         relu_ && y == nullptr ? context.InputData<float>(5) : nullptr, y},
        {context.OutputData<float>(0, whole), context.OutputData<float>(1, channels),
         context.OutputData<float>(2, channels),
         y == nullptr ? nullptr : context.OutputData<float>(3, whole)},
        shape, {SessionThreads::ParallelFor, &threads});
  }

 private:
  const bool relu_;
};

}  // namespace

std::vector<OpDefinition> BatchNormalizationCpu() {
  OpDefinition normalization{
      "BatchNormalizationTraining",
      kProvider,
      {kFloat, kFloat, kFloat, kFloat, kFloat, kOptionalFloat},
      {kFloat, kFloat, kFloat, kFloat, kFloat},
      [](const Attributes& attributes) { return std::make_unique<Normalization>(attributes); },
      [](ShapeInference& node) {
        node.SetShapeOf(0, 0);
        for (size_t output = 1; output < 5; ++output) node.SetShapeOf(output, 1);
      }};
  normalization.alias = PairsOf<3, 1, 4, 2>;
  OpDefinition gradient{
      "BatchNormalizationGradient",
      kProvider,
      {kFloat, kFloat, kFloat, kFloat, kFloat, kOptionalFloat, kOptionalFloat},
      {kFloat, kFloat, kFloat, kOptionalFloat},
      [](const Attributes& attributes) { return std::make_unique<Gradient>(attributes); },
      [](ShapeInference& node) {
        node.SetShapeOf(0, 1);
        for (size_t output = 1; output < 3; ++output) node.SetShapeOf(output, 2);
      }};
  gradient.may_inplace = PairsOf<0, 0>;
  return {std::move(normalization), std::move(gradient)};
}

}  // namespace svgd
