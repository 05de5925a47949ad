#include "cpu/convolution_cpu.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "convolution_settings.h"
#include "cpu/convolution_kernel.h"
#include "cpu/session_threads.h"
#include "status.h"
#include "workspace.h"

namespace svgd {
namespace {

constexpr ONNXTensorElementDataType kFloat = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;

// A convolution operator while it runs: its threads, and memory beside an input.
class Run {
 public:
  Run(const RunContext& context, size_t numbers)
      : threads_{context},
        memory_(context.api(), context.get(), context.Input(0), numbers * sizeof(float)) {}

  float* memory() const { return static_cast<float*>(memory_.data()); }
  Threads threads() { return {SessionThreads::ParallelFor, &threads_}; }

 private:
  SessionThreads threads_;
  Workspace memory_;
};

class ConvolutionOp final : public OpKernel {
 public:
  explicit ConvolutionOp(const Attributes& attributes) : settings_(attributes) {}

  void Run(const RunContext& context) const override {
    const Shape x = context.InputShape(0);
    const ConvolutionShape shape = settings_.Fit(x, context.InputShape(1));
    const float* bias = context.InputData<float>(2);
    if (bias != nullptr && context.InputShape(2) != Shape{static_cast<int64_t>(shape.outputs)}) {
      throw Refusal("B has shape " + Text(context.InputShape(2)) + ", but W has " +
                    std::to_string(shape.outputs) + " outputs.");
    }
    auto* y = context.OutputData<float>(0, OutShape(shape, x.size() - 2));
    svgd::Run run(context, ConvolutionWorkspace(shape));
    Convolution(context.InputData<float>(0), context.InputData<float>(1), bias, y, shape,
                run.memory(), run.threads());
  }

 private:
  const ConvolutionSettings settings_;
};

class ConvolutionInputGradientOp final : public OpKernel {
 public:
  explicit ConvolutionInputGradientOp(const Attributes& attributes) : settings_(attributes) {}

  void Run(const RunContext& context) const override {
    const Shape dy = context.InputShape(0);
    const Shape rank = context.InputShape(2);
    if (rank.size() != 1 || rank[0] != static_cast<int64_t>(dy.size())) {
      throw Refusal("`shape` has shape " + Text(rank) + ", but dY has " + Text(dy) +
                    ", and there must be a number for each of its axes.");
    }
    const auto* sizes = context.InputData<int64_t>(2);
    const Shape x(sizes, sizes + dy.size());
    if (x.front() < 0) throw Refusal("`shape` is " + Text(x) + ", whose batch is negative.");
    const ConvolutionShape shape = settings_.Fit(x, context.InputShape(1));
    CheckGradient(dy, shape, x);
    auto* dx = context.OutputData<float>(0, x);
    svgd::Run run(context, ConvolutionInputGradientWorkspace(shape));
    ConvolutionInputGradient(context.InputData<float>(0), context.InputData<float>(1), dx, shape,
                             run.memory(), run.threads());
  }

  static void CheckGradient(const Shape& dy, const ConvolutionShape& shape, const Shape& x) {
    const Shape wanted = OutShape(shape, x.size() - 2);
    if (dy != wanted) {
      throw Refusal("dY has shape " + Text(dy) + ", but what X of shape " + Text(x) +
                    " is convolved to has " + Text(wanted) + ".");
    }
  }

 private:
  const ConvolutionSettings settings_;
};

class ConvolutionWeightGradientOp final : public OpKernel {
 public:
  explicit ConvolutionWeightGradientOp(const Attributes& attributes) : settings_(attributes) {
    if (settings_.kernel_shape().empty()) throw Refusal("attribute kernel_shape is missing.");
  }

  void Run(const RunContext& context) const override {
    const Shape dy = context.InputShape(0);
    const Shape x = context.InputShape(1);
    if (dy.empty() || x.empty()) throw Refusal("dY and X must be (N, one to three sizes, C).");
    Shape w{dy.back(), x.back() / settings_.group()};
    w.insert(w.end(), settings_.kernel_shape().begin(), settings_.kernel_shape().end());
    const ConvolutionShape shape = settings_.Fit(x, w);
    ConvolutionInputGradientOp::CheckGradient(dy, shape, x);
    const convolution::Factor factor = FactorOf(context, dy);
    auto* dw = context.OutputData<float>(0, w);
    auto* db = context.OutputData<float>(1, {dy.back()});
    svgd::Run run(context, ConvolutionWeightGradientWorkspace(shape));
    ConvolutionWeightGradient(context.InputData<float>(0), factor, context.InputData<float>(1), dw,
                              db, shape, run.memory(), run.threads());
  }

 private:
  static convolution::Factor FactorOf(const RunContext& context, const Shape& dy) {
    const auto* numbers = context.InputData<float>(2);
    if (numbers == nullptr) return {nullptr, false};
    const Shape factor = context.InputShape(2);
    if (factor == Shape{dy.back()}) return {numbers, true};
    if (factor != Shape(dy.begin() + 1, dy.end())) {
      throw Refusal("the factor has shape " + Text(factor) + ", but dY has " + Text(dy) +
                    "; it must have an entry for each of dY's channels, or for each element of an "
                    "example.");
    }
    return {numbers, false};
  }

  const ConvolutionSettings settings_;
};

// The shape of what a convolution makes: these sizes between a batch and channels.
void SetShape(ShapeInference& node, const Dimension& batch, const SymbolicShape& sizes,
              const Dimension& channels) {
  SymbolicShape shape{batch};
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  shape.push_back(channels);
  node.SetShape(0, shape, kFloat);
}

bool RanksFit(const SymbolicShape& x, const SymbolicShape& w) {
  return x.size() == w.size() && x.size() > 2 && x.size() <= kMostAxes + 2;
}

void InferConvolution(ShapeInference& node) {
  const SymbolicShape x = node.Input(0), w = node.Input(1);
  if (!RanksFit(x, w)) return;
  SetShape(node, x[0], ConvolutionSettings(node).OutSizes(x, w), w[0]);
}

void InferInputGradient(ShapeInference& node) {
  const SymbolicShape dy = node.Input(0), w = node.Input(1);
  if (!RanksFit(dy, w) || !w[1].known()) return;
  const ConvolutionSettings settings(node);
  if (w[1].size > (int64_t{1} << 31)) return;
  SetShape(node, dy[0], settings.InSizes(dy, w), {w[1].size * settings.group(), ""});
}

void InferWeightGradient(ShapeInference& node) {
  const SymbolicShape dy = node.Input(0), x = node.Input(1);
  const ConvolutionSettings settings(node);
  const std::vector<int64_t>& kernel = settings.kernel_shape();
  if (dy.empty() || dy.size() != x.size() || kernel.size() + 2 != x.size()) return;
  if (!x.back().known()) return;
  SymbolicShape shape{dy.back(), {x.back().size / settings.group(), ""}};
  for (const int64_t size : kernel) shape.push_back({size, ""});
  node.SetShape(0, shape, kFloat);
}

template <typename Kernel>
OpDefinition Definition(const char* name, std::vector<Port> inputs, std::vector<Port> outputs,
                        void (*infer_shapes)(ShapeInference&)) {
  return {name,
          "CPUExecutionProvider",
          std::move(inputs),
          std::move(outputs),
          [](const Attributes& attributes) { return std::make_unique<Kernel>(attributes); },
          infer_shapes};
}

}  // namespace

std::vector<OpDefinition> ConvolutionCpu() {
  const Port present{kFloat}, optional{kFloat, INPUT_OUTPUT_OPTIONAL};
  const Port integers{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64};
  return {
      Definition<ConvolutionOp>("Convolution", {present, present, optional}, {present},
                                InferConvolution),
      Definition<ConvolutionInputGradientOp>(
          "ConvolutionInputGradient", {present, present, integers}, {present}, InferInputGradient),
      Definition<ConvolutionWeightGradientOp>("ConvolutionWeightGradient",
                                              {present, present, optional}, {present, optional},
                                              InferWeightGradient)};
}

}  // namespace svgd
