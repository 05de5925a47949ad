#include "cpu/attention_cpu.h"

#include <algorithm>
#include <memory>
#include <string>

#include "cpu/attention_kernel.h"
#include "cpu/session_threads.h"
#include "status.h"

namespace svgd {
namespace {

constexpr char kProvider[] = "CPUExecutionProvider";
constexpr Port kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
constexpr Port kOptionalFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_OPTIONAL};

// The tensors Q (..., N, D), K (..., D, M), V (..., M, E) of the same leading axes.
struct Tensors {
  Tensors(const RunContext& context, size_t q_place, size_t k_place, size_t v_place)
      : q(context.InputShape(q_place)),
        k(context.InputShape(k_place)),
        v(context.InputShape(v_place)) {
    const auto leads = [](const Shape& a) { return Shape{a.begin(), a.end() - 2}; };
    if (q.size() < 2 || k.size() != q.size() || v.size() != q.size() || leads(q) != leads(k) ||
        leads(q) != leads(v) || q.back() != k[k.size() - 2] || k.back() != v[v.size() - 2]) {
      throw Refusal("Q has shape " + Text(q) + ", K " + Text(k) + " and V " + Text(v) +
                    "; they must be (..., N, D), (..., D, M) and (..., M, E).");
    }
    leading = leads(q);
    shape = {Size(leading), At(q, 2), At(k, 1), At(q, 1), At(v, 1)};
  }

  static size_t At(const Shape& a, size_t from_end) {
    return static_cast<size_t>(a[a.size() - from_end]);
  }

  Shape Queries() const { return {q.begin(), q.end() - 1}; }
  Shape Outputs() const {
    Shape out = q;
    out.back() = v.back();
    return out;
  }

  Shape q, k, v, leading;
  AttentionShape shape;
};

// A mask of at most as many axes as the scores have, each of their size or of 1.
AttentionMask MaskOf(const RunContext& context, size_t place, const Tensors& tensors) {
  AttentionMask mask;
  mask.data = context.InputData<float>(place);
  if (mask.data == nullptr) return mask;
  Shape scores = tensors.q;
  scores.back() = tensors.k.back();
  const Shape given = context.InputShape(place);
  bool fits = given.size() <= scores.size();
  Shape sizes(fits ? scores.size() - given.size() : 0, 1);
  sizes.insert(sizes.end(), given.begin(), given.end());
  for (size_t axis = 0; fits && axis < scores.size(); ++axis) {
    fits = sizes[axis] == 1 || sizes[axis] == scores[axis];
  }
  if (!fits) {
    throw Refusal("the mask has shape " + Text(given) + ", which does not go with scores " +
                  Text(scores) + ".");
  }
  std::vector<size_t> strides(scores.size(), 0);
  size_t stride = 1;
  for (size_t axis = scores.size(); axis-- > 0;) {
    if (sizes[axis] != 1) strides[axis] = stride;
    stride *= static_cast<size_t>(sizes[axis]);
  }
  mask.key_stride = strides[scores.size() - 1];
  mask.query_stride = strides[scores.size() - 2];
  mask.of_heads.resize(tensors.shape.heads);
  for (size_t head = 0; head < tensors.shape.heads; ++head) {
    size_t rest = head, offset = 0;
    for (size_t axis = tensors.leading.size(); axis-- > 0;) {
      const auto size = static_cast<size_t>(tensors.leading[axis]);
      offset += rest % size * strides[axis];
      rest /= size;
    }
    mask.of_heads[head] = offset;
  }
  return mask;
}

// Inputs Q (..., N, D), K (..., D, M), V (..., M, E) and perhaps a mask, which is added to scores
// (..., N, M); outputs softmax(scale Q K + mask) V (..., N, E), and for the gradient of each
// query the greatest score and 1 / the sum of powers (..., N). Attributes scale, and nan_as_zero:
// probabilities that are NaN, as where a mask leaves no key, are 0.
class AttentionOp final : public OpKernel {
 public:
  explicit AttentionOp(const Attributes& attributes)
      : scale_(attributes.Float("scale").value_or(1)),
        nan_as_zero_(attributes.Integer("nan_as_zero").value_or(0) != 0) {}

  void Run(const RunContext& context) const override {
    const Tensors tensors(context, 0, 1, 2);
    SessionThreads session{context};
    svgd::Attention({context.InputData<float>(0), context.InputData<float>(1),
                     context.InputData<float>(2), MaskOf(context, 3, tensors)},
                    context.OutputData<float>(0, tensors.Outputs()),
                    {context.OutputData<float>(1, tensors.Queries()),
                     context.OutputData<float>(2, tensors.Queries())},
                    tensors.shape, scale_, nan_as_zero_, {SessionThreads::ParallelFor, &session});
  }

 private:
  const float scale_;
  const bool nan_as_zero_;
};

// Inputs the gradient of ScaledDotProductAttention's first output, its Q, K and V, its other two
// outputs, and perhaps its mask; outputs the gradients of Q, K and V. Attribute scale.
class AttentionGradientOp final : public OpKernel {
 public:
  explicit AttentionGradientOp(const Attributes& attributes)
      : scale_(attributes.Float("scale").value_or(1)) {}

  void Run(const RunContext& context) const override {
    const Tensors tensors(context, 1, 2, 3);
    Check(context, 0, tensors.Outputs());
    Check(context, 4, tensors.Queries());
    Check(context, 5, tensors.Queries());
    SessionThreads session{context};
    AttentionGradient(
        {context.InputData<float>(1), context.InputData<float>(2), context.InputData<float>(3),
         MaskOf(context, 6, tensors)},
        context.InputData<float>(0), {context.InputData<float>(4), context.InputData<float>(5)},
        {context.OutputData<float>(0, tensors.q), context.OutputData<float>(1, tensors.k),
         context.OutputData<float>(2, tensors.v)},
        tensors.shape, scale_, {SessionThreads::ParallelFor, &session});
  }

 private:
  static void Check(const RunContext& context, size_t place, const Shape& wanted) {
    const Shape found = context.InputShape(place);
    if (found != wanted) {
      throw Refusal("input " + std::to_string(place) + " has shape " + Text(found) +
                    ", but must have " + Text(wanted) + ".");
    }
  }

  const float scale_;
};

void InferShapes(ShapeInference& node) {
  SymbolicShape queries = node.Input(0);
  const SymbolicShape values = node.Input(2);
  if (queries.size() < 2 || values.empty()) return;
  SymbolicShape outputs = queries;
  outputs.back() = values.back();
  node.SetShape(0, outputs, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
  queries.pop_back();
  for (const size_t output : {size_t{1}, size_t{2}}) {
    node.SetShape(output, queries, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
  }
}

}  // namespace

std::vector<OpDefinition> AttentionCpu() {
  OpDefinition attention{
      "ScaledDotProductAttention",
      kProvider,
      {kFloat, kFloat, kFloat, kOptionalFloat},
      {kFloat, kFloat, kFloat},
      [](const Attributes& attributes) { return std::make_unique<AttentionOp>(attributes); },
      InferShapes};
  OpDefinition gradient{"ScaledDotProductAttentionGradient",
                        kProvider,
                        {kFloat, kFloat, kFloat, kFloat, kFloat, kFloat, kOptionalFloat},
                        {kFloat, kFloat, kFloat},
                        [](const Attributes& attributes) {
                          return std::make_unique<AttentionGradientOp>(attributes);
                        },
                        [](ShapeInference& node) {
                          for (size_t output = 0; output < 3; ++output) {
                            node.SetShapeOf(output, output + 1);
                          }
                        }};
  return {std::move(attention), std::move(gradient)};
}

}  // namespace svgd
