// The one function that onnxruntime looks for in a library of custom operators.

#include <mutex>

#include "cpu/virtual_gradient_op.h"
#include "onnxruntime_abi.h"

#ifdef _WIN32
#define SVGD_EXPORT __declspec(dllexport)
#else
#define SVGD_EXPORT __attribute__((visibility("default")))
#endif

namespace {

constexpr char kDomain[] = "ai.svgd";

// The domain has to outlive every session that uses it, so it is made once and never released.
OrtStatus* Domain(const OrtApi& api, OrtCustomOpDomain** out) {
  static std::mutex mutex;
  static OrtCustomOpDomain* domain = nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  if (domain == nullptr) {
    OrtCustomOpDomain* made = nullptr;
    if (OrtStatus* status = api.CreateCustomOpDomain(kDomain, &made)) return status;
    if (OrtStatus* status = api.CustomOpDomain_Add(made, svgd::VirtualGradientCpu(api))) {
      api.ReleaseCustomOpDomain(made);
      return status;
    }
    domain = made;
  }
  *out = domain;
  return nullptr;
}

}  // namespace

extern "C" SVGD_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                    const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(svgd::kOrtApiVersion);
  // Without the interface there is no way to make a status either; loading fails without the
  // domain.
  if (api == nullptr) return nullptr;
  OrtCustomOpDomain* domain = nullptr;
  if (OrtStatus* status = Domain(*api, &domain)) return status;
  return api->AddCustomOpDomain(options, domain);
}
