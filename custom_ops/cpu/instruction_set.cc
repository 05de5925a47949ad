// Which of the compiled loops this processor can run.
#include "cpu/instruction_set.h"

#include "cpu/activation_gradient_loops.h"
#include "cpu/adaptive_descent_loops.h"
#include "cpu/attention_loops.h"
#include "cpu/batch_normalization_loops.h"
#include "cpu/layer_normalization_loops.h"
#include "cpu/matrix_product_loops.h"
#include "cpu/max_pool_loops.h"
#include "cpu/size_sum_loops.h"
#include "cpu/softmax_gradient_loops.h"
#include "cpu/virtual_gradient_loops.h"

namespace svgd {

#define SVGD_DECLARE_LOOPS(instruction_set)                 \
  namespace instruction_set {                               \
  extern const VirtualGradientLoops<float> kFloat;          \
  extern const VirtualGradientLoops<double> kDouble;        \
  extern const VirtualGradientLoops<Float16> kFloat16;      \
  extern const VirtualGradientLoops<BFloat16> kBFloat16;    \
  extern const BatchNormalizationLoops kBatchNormalization; \
  extern const MatrixProductLoops kMatrixProduct;           \
  extern const MaxPoolLoops kMaxPool;                       \
  extern const LayerNormalizationLoops kLayerNormalization; \
  extern const ActivationGradientLoops kActivationGradient; \
  extern const SoftmaxGradientLoops kSoftmaxGradient;       \
  extern const SizeSumLoops kSizeSum;                       \
  extern const AdaptiveDescentLoops kAdaptiveDescent;       \
  extern const AttentionLoops kAttention;                   \
  }
SVGD_DECLARE_LOOPS(baseline)
#ifdef SVGD_X86_VARIANTS
SVGD_DECLARE_LOOPS(avx2)
SVGD_DECLARE_LOOPS(avx512)
#define SVGD_VARIANT(set, name) set::name
#else
#define SVGD_VARIANT(set, name) baseline::name
#endif

namespace {

// __builtin_cpu_supports also asks whether the operating system saves the wide registers.
InstructionSet Detect() {
#ifdef SVGD_X86_VARIANTS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return InstructionSet::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return InstructionSet::kAvx2;
  }
#endif
  return InstructionSet::kBaseline;
}

}  // namespace

InstructionSet Widest() {
  static const InstructionSet widest = Detect();
  return widest;
}

#define SVGD_DEFINE_LOOPS(element, name)                                            \
  template <>                                                                       \
  const VirtualGradientLoops<element>& Loops<element>(InstructionSet instruction) { \
    switch (instruction) {                                                          \
      case InstructionSet::kAvx512:                                                 \
        return SVGD_VARIANT(avx512, name);                                          \
      case InstructionSet::kAvx2:                                                   \
        return SVGD_VARIANT(avx2, name);                                            \
      default:                                                                      \
        return baseline::name;                                                      \
    }                                                                               \
  }
SVGD_DEFINE_LOOPS(float, kFloat)
SVGD_DEFINE_LOOPS(double, kDouble)
SVGD_DEFINE_LOOPS(Float16, kFloat16)
SVGD_DEFINE_LOOPS(BFloat16, kBFloat16)

#define SVGD_DEFINE_LOOPS_OF(Operator)                                   \
  const Operator##Loops& LoopsOf##Operator(InstructionSet instruction) { \
    switch (instruction) {                                               \
      case InstructionSet::kAvx512:                                      \
        return SVGD_VARIANT(avx512, k##Operator);                        \
      case InstructionSet::kAvx2:                                        \
        return SVGD_VARIANT(avx2, k##Operator);                          \
      default:                                                           \
        return baseline::k##Operator;                                    \
    }                                                                    \
  }
SVGD_DEFINE_LOOPS_OF(BatchNormalization)
SVGD_DEFINE_LOOPS_OF(MatrixProduct)
SVGD_DEFINE_LOOPS_OF(MaxPool)
SVGD_DEFINE_LOOPS_OF(LayerNormalization)
SVGD_DEFINE_LOOPS_OF(ActivationGradient)
SVGD_DEFINE_LOOPS_OF(SoftmaxGradient)
SVGD_DEFINE_LOOPS_OF(SizeSum)
SVGD_DEFINE_LOOPS_OF(AdaptiveDescent)
SVGD_DEFINE_LOOPS_OF(Attention)

}  // namespace svgd
