// The one function that onnxruntime looks for in a library of custom operators.

#include <exception>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cpu/activation_gradient_cpu.h"
#include "cpu/adaptive_descent_cpu.h"
#include "cpu/add_rows_cpu.h"
#include "cpu/attention_cpu.h"
#include "cpu/batch_normalization_cpu.h"
#include "cpu/convolution_cpu.h"
#include "cpu/descent_cpu.h"
#include "cpu/descent_of_rows_cpu.h"
#include "cpu/finite_loss_cpu.h"
#include "cpu/layer_normalization_cpu.h"
#include "cpu/matrix_product_cpu.h"
#include "cpu/max_pool_cpu.h"
#include "cpu/relu_gradient_cpu.h"
#include "cpu/softmax_gradient_cpu.h"
#include "cpu/virtual_gradient_cpu.h"
#ifdef SVGD_CUDA
#include "cuda/virtual_gradient_cuda.h"
#endif
#include "onnxruntime_abi.h"
#include "op.h"

#ifdef _WIN32
#define SVGD_EXPORT __declspec(dllexport)
#else
#define SVGD_EXPORT __attribute__((visibility("default")))
#endif

namespace {

constexpr char kDomain[] = "ai.svgd";

// Every operator: for an execution provider, its definitions.
using Definitions = std::vector<svgd::OpDefinition> (*)();
constexpr Definitions kDefinitions[] = {
    svgd::VirtualGradientCpu,
    svgd::BatchNormalizationCpu,
    svgd::MaxPoolCpu,
    svgd::ReluGradientCpu,
    svgd::ConvolutionCpu,
    svgd::LayerNormalizationCpu,
    svgd::ActivationGradientCpu,
    svgd::SoftmaxGradientCpu,
    svgd::AttentionCpu,
    svgd::FiniteLossCpu,
    svgd::MatrixProductCpu,
    svgd::DescentCpu,
    svgd::AdaptiveDescentCpu,
    svgd::AddRowsCpu,
    svgd::DescentOfRowsCpu,
#ifdef SVGD_CUDA
    svgd::VirtualGradientCuda,
#endif
};

// They have to outlive every session, as their domain has to.
const std::vector<svgd::Op>& AllOps(const OrtApi& api) {
  static const std::vector<svgd::Op> ops = [&api] {
    std::vector<svgd::Op> all;
    for (const Definitions definitions : kDefinitions) {
      for (svgd::OpDefinition& definition : definitions()) {
        all.emplace_back(api, std::move(definition));
      }
    }
    return all;
  }();
  return ops;
}

// The domain has to outlive every session that uses it, so it is made once and never released.
OrtStatus* Domain(const OrtApi& api, OrtCustomOpDomain** out) {
  static std::mutex mutex;
  static OrtCustomOpDomain* domain = nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  if (domain == nullptr) {
    OrtCustomOpDomain* made = nullptr;
    if (OrtStatus* status = api.CreateCustomOpDomain(kDomain, &made)) return status;
    for (const svgd::Op& op : AllOps(api)) {
      if (OrtStatus* status = api.CustomOpDomain_Add(made, &op)) {
        api.ReleaseCustomOpDomain(made);
        return status;
      }
    }
    domain = made;
  }
  *out = domain;
  return nullptr;
}

}  // namespace

extern "C" SVGD_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                    const OrtApiBase* base) {
  // The first version of the interface is there always, and makes statuses.
  const OrtApi* first = base->GetApi(1);
  if (first == nullptr) return nullptr;
  try {
    const OrtApi* api = base->GetApi(svgd::kOrtApiVersion);
    if (api == nullptr) {
      const std::string sentence =
          std::string("ai.svgd needs onnxruntime 1.19 or later; this is ") +
          base->GetVersionString() + ".";
      return first->CreateStatus(ORT_FAIL, sentence.c_str());
    }
    OrtCustomOpDomain* domain = nullptr;
    if (OrtStatus* status = Domain(*api, &domain)) return status;
    return api->AddCustomOpDomain(options, domain);
  } catch (const std::exception& error) {
    return first->CreateStatus(ORT_FAIL, error.what());
  } catch (...) {
    return first->CreateStatus(ORT_FAIL, "ai.svgd: an unknown error.");
  }
}
