// onnxruntime's statuses as exceptions.
#pragma once

#include "onnxruntime_abi.h"

namespace svgd {

// An onnxruntime status on its way through C++; turned back at the boundary.
struct StatusError {
  OrtStatus* status;
};

inline void Check(OrtStatus* status) {
  if (status != nullptr) throw StatusError{status};
}

}  // namespace svgd
