// onnxruntime's statuses as exceptions, and an operator's own refusals.
#pragma once

#include <stdexcept>

#include "onnxruntime_abi.h"

namespace svgd {

// An onnxruntime status on its way through C++; turned back at the boundary.
struct StatusError {
  OrtStatus* status;
};

inline void Check(OrtStatus* status) {
  if (status != nullptr) throw StatusError{status};
}

// What an operator cannot do, in a sentence; the operator's name is put before it at the boundary.
struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace svgd
