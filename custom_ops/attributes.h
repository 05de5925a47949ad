// Attributes of a node, as its kernel reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "onnxruntime_abi.h"

namespace svgd {

// Nothing comes back for an attribute that is absent or of another type.
class Attributes {
 public:
  virtual ~Attributes() = default;
  virtual std::optional<int64_t> Integer(const char* name) const = 0;
  virtual std::optional<std::vector<int64_t>> Integers(const char* name) const = 0;
  virtual std::optional<float> Float(const char* name) const = 0;
};

// Those of a kernel that is being made.
class KernelAttributes final : public Attributes {
 public:
  KernelAttributes(const OrtApi& api, const OrtKernelInfo* info) : api_(api), info_(info) {}
  std::optional<int64_t> Integer(const char* name) const override;
  std::optional<std::vector<int64_t>> Integers(const char* name) const override;
  std::optional<float> Float(const char* name) const override;

 private:
  const OrtApi& api_;
  const OrtKernelInfo* info_;
};

}  // namespace svgd
