#include "cpu/softmax_gradient_cpu.h"

#include <algorithm>

#include "cpu/session_threads.h"
#include "cpu/softmax_gradient_loops.h"
#include "cpu/tasks.h"
#include "status.h"

namespace svgd {
namespace {

constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
constexpr Port kInteger{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64};
// Of a task, about.
constexpr size_t kNumbers = 16 * 1024;

// Calls body(row) for each of `rows` rows.
template <typename Body>
void RowByRow(const RunContext& context, size_t rows, size_t width, const Body& body) {
  const size_t together = std::max<size_t>(1, kNumbers / std::max<size_t>(1, width));
  SessionThreads session{context};
  const Threads threads{SessionThreads::ParallelFor, &session};
  threads.ForEach(DivideUp(rows, together), rows * width * 4, [&](size_t task) {
    for (size_t row = task * together; row < std::min(rows, (task + 1) * together); ++row) {
      body(row);
    }
  });
}

// Inputs dY and the Softmax's output Y over the last axis; output dX times the attribute scale,
// which may lie where dY lies.
class SoftmaxGradient final : public OpKernel {
 public:
  explicit SoftmaxGradient(const Attributes& attributes)
      : scale_(attributes.Float("scale").value_or(1)) {}

  void Run(const RunContext& context) const override {
    const Shape shape = context.InputShape(0);
    if (context.InputShape(1) != shape) {
      throw Refusal("Y has shape " + Text(context.InputShape(1)) + ", but dY has " + Text(shape) +
                    ".");
    }
    if (shape.empty()) throw Refusal("dY has no axes.");
    const auto* dy = context.InputData<float>(0);
    const auto* y = context.InputData<float>(1);
    auto* dx = context.OutputData<float>(0, shape);
    const size_t width = static_cast<size_t>(shape.back());
    const SoftmaxGradientLoops& loops = LoopsOfSoftmaxGradient(Widest());
    RowByRow(context, Size({shape.begin(), shape.end() - 1}), width, [&](size_t row) {
      const size_t place = row * width;
      loops.softmax(dy + place, y + place, dx + place, width, scale_);
    });
  }

 private:
  const float scale_;
};

// Inputs dL, one number, log-probabilities (rows, classes) and labels (rows); output the gradient
// of the logits, (e^log_probability - 1 at the label) dL, with the attribute mean over the number
// of rows that count. With the attribute ignored those of that label, or of none of the classes,
// are 0.
class CrossEntropyGradient final : public OpKernel {
 public:
  explicit CrossEntropyGradient(const Attributes& attributes)
      : mean_(attributes.Integer("mean").value_or(1) != 0),
        ignored_(attributes.Integer("ignored")) {}

  void Run(const RunContext& context) const override {
    const Shape shape = context.InputShape(1);
    if (context.InputSize(0) != 1) throw Refusal("dL is not one number.");
    if (shape.size() != 2) throw Refusal("the log-probabilities are not of rows.");
    if (context.InputShape(2) != Shape{shape[0]}) {
      throw Refusal("labels have shape " + Text(context.InputShape(2)) +
                    ", but the log-probabilities " + Text(shape) + ".");
    }
    const auto* log_y = context.InputData<float>(1);
    const auto* labels = context.InputData<int64_t>(2);
    auto* dx = context.OutputData<float>(0, shape);
    const size_t rows = static_cast<size_t>(shape[0]), classes = static_cast<size_t>(shape[1]);
    size_t counted = rows;
    if (ignored_) counted -= static_cast<size_t>(std::count(labels, labels + rows, *ignored_));
    float factor = *context.InputData<float>(0);
    if (mean_) factor /= static_cast<float>(std::max<size_t>(1, counted));
    const SoftmaxGradientLoops& loops = LoopsOfSoftmaxGradient(Widest());
    RowByRow(context, rows, classes, [&](size_t row) {
      const size_t place = row * classes;
      const int64_t label = labels[row];
      if (ignored_ && label == *ignored_) {
        std::fill(dx + place, dx + place + classes, 0.0F);
        return;
      }
      loops.exponential(log_y + place, dx + place, classes, factor);
      // the loss has refused another one
      if (label >= 0 && label < shape[1]) dx[place + static_cast<size_t>(label)] -= factor;
    });
  }

 private:
  const bool mean_;
  const std::optional<int64_t> ignored_;
};

}  // namespace

std::vector<OpDefinition> SoftmaxGradientCpu() {
  OpDefinition softmax{
      "SoftmaxGradient",
      "CPUExecutionProvider",
      {kFloat, kFloat},
      {kFloat},
      [](const Attributes& attributes) { return std::make_unique<SoftmaxGradient>(attributes); },
      [](ShapeInference& node) { node.SetShapeOf(0, 0); }};
  softmax.may_inplace = PairsOf<0, 0>;
  OpDefinition cross_entropy{"CrossEntropyGradient",
                             "CPUExecutionProvider",
                             {kFloat, kFloat, kInteger},
                             {kFloat},
                             [](const Attributes& attributes) {
                               return std::make_unique<CrossEntropyGradient>(attributes);
                             },
                             [](ShapeInference& node) { node.SetShapeOf(0, 1); }};
  return {std::move(softmax), std::move(cross_entropy)};
}

}  // namespace svgd
