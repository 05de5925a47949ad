#include "cpu/max_pool_cpu.h"

#include <string>
#include <utility>

#include "cpu/max_pool_kernel.h"
#include "cpu/session_threads.h"
#include "status.h"

namespace svgd {
namespace {

constexpr char kProvider[] = "CPUExecutionProvider";
constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
constexpr Port kPlaces{ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8};
constexpr Port kSizes{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64};

// Attributes kernel_shape, strides, dilations and pads, as ONNX has them; each is given.
class Window {
 public:
  explicit Window(const Attributes& attributes)
      : kernel_(Read(attributes, "kernel_shape")),
        strides_(Read(attributes, "strides")),
        dilations_(Read(attributes, "dilations")),
        pads_(Read(attributes, "pads")) {
    const size_t axes = kernel_.size();
    bool fits = axes >= 1 && axes <= 3 && strides_.size() == axes && dilations_.size() == axes &&
                pads_.size() == 2 * axes;
    constexpr int64_t kMost{PooledShape::kMostElements};
    int64_t elements = 1;
    for (size_t i = 0; fits && i < axes; ++i) {
      fits = kernel_[i] >= 1 && kernel_[i] <= kMost && strides_[i] >= 1 && dilations_[i] >= 1 &&
             pads_[i] >= 0 && pads_[axes + i] >= 0 && (elements *= kernel_[i]) <= kMost;
    }
    if (!fits) throw Refusal("its window is none that it takes.");
  }

  // For x (N, ..., C).
  PooledShape Of(const Shape& x) const {
    const size_t axes = kernel_.size();
    if (x.size() != axes + 2) {
      throw Refusal("X has shape " + Text(x) + ", but must have " + std::to_string(axes + 2) +
                    " axes.");
    }
    PooledShape shape{static_cast<size_t>(x.front()),
                      static_cast<size_t>(x.back()),
                      {{{1, 1, 1, 1, 1, 0}, {1, 1, 1, 1, 1, 0}, {1, 1, 1, 1, 1, 0}}}};
    for (size_t i = 0; i < axes; ++i) {
      const int64_t reach = dilations_[i] * (kernel_[i] - 1) + 1;
      const int64_t room = x[i + 1] + pads_[i] + pads_[axes + i] - reach;
      if (room < 0) throw Refusal("its window is larger than X, which has " + Text(x) + ".");
      const auto size = [](int64_t number) { return static_cast<size_t>(number); };
      shape.axes[3 - axes + i] = {size(x[i + 1]),    size(room / strides_[i] + 1), size(kernel_[i]),
                                  size(strides_[i]), size(dilations_[i]),          size(pads_[i])};
    }
    return shape;
  }

  Shape Output(const PooledShape& shape) const {
    Shape output{static_cast<int64_t>(shape.batch)};
    for (size_t i = 3 - kernel_.size(); i < 3; ++i) {
      output.push_back(static_cast<int64_t>(shape.axes[i].output));
    }
    output.push_back(static_cast<int64_t>(shape.channels));
    return output;
  }

 private:
  static std::vector<int64_t> Read(const Attributes& attributes, const char* name) {
    return attributes.Integers(name).value_or(std::vector<int64_t>{});
  }

  std::vector<int64_t> kernel_, strides_, dilations_, pads_;
};

// Input X (N, ..., C); outputs Y and which element of its window each is.
class MaxPoolWithPlaces final : public OpKernel {
 public:
  explicit MaxPoolWithPlaces(const Attributes& attributes) : window_(attributes) {}

  void Run(const RunContext& context) const override {
    const PooledShape shape = window_.Of(context.InputShape(0));
    const Shape output = window_.Output(shape);
    SessionThreads threads{context};
    MaxPool(context.InputData<float>(0), context.OutputData<float>(0, output),
            context.OutputData<uint8_t>(1, output), shape, {SessionThreads::ParallelFor, &threads});
  }

 private:
  const Window window_;
};

// Inputs dY, the places and X's shape; output dX.
class Gradient final : public OpKernel {
 public:
  explicit Gradient(const Attributes& attributes) : window_(attributes) {}

  void Run(const RunContext& context) const override {
    const auto* sizes = context.InputData<int64_t>(2);
    const Shape x(sizes, sizes + context.InputSize(2));
    const PooledShape shape = window_.Of(x);
    for (const size_t index : {0, 1}) {
      const Shape given = context.InputShape(index);
      if (given != window_.Output(shape)) {
        throw Refusal("input " + std::to_string(index) + " has shape " + Text(given) +
                      ", but must have " + Text(window_.Output(shape)) + " for X of " + Text(x) +
                      ".");
      }
    }
    SessionThreads threads{context};
    MaxPoolGradient(context.InputData<float>(0), context.InputData<uint8_t>(1),
                    context.OutputData<float>(0, x), shape,
                    {SessionThreads::ParallelFor, &threads});
  }

 private:
  const Window window_;
};

}  // namespace

std::vector<OpDefinition> MaxPoolCpu() {
  OpDefinition pool{
      "MaxPoolWithPlaces",
      kProvider,
      {kFloat},
      {kFloat, kPlaces},
      [](const Attributes& attributes) { return std::make_unique<MaxPoolWithPlaces>(attributes); },
      nullptr};
  OpDefinition gradient{
      "MaxPoolGradient",
      kProvider,
      {kFloat, kPlaces, kSizes},
      {kFloat},
      [](const Attributes& attributes) { return std::make_unique<Gradient>(attributes); },
      nullptr};
  return {std::move(pool), std::move(gradient)};
}

}  // namespace svgd
