// What an operator says of its outputs' shapes before a session runs, so that onnxruntime can plan
// its memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "attributes.h"
#include "onnxruntime_abi.h"

namespace svgd {

// The size of an axis: a number, or else a name that stands for one, or else nothing.
struct Dimension {
  int64_t size = -1;
  std::string symbol;

  bool known() const { return size >= 0; }
};

using SymbolicShape = std::vector<Dimension>;

// A node whose shapes are asked for. A tensor of unknown rank looks like one of rank 0 here.
class ShapeInference final : public Attributes {
 public:
  ShapeInference(const OrtApi& api, OrtShapeInferContext* context) : api_(api), context_(context) {}

  size_t inputs() const;
  SymbolicShape Input(size_t index) const;

  // An output gets the shape of an input, where its axes are known or named: of another onnxruntime
  // would take -1 for the size. Only of outputs that every such node has: whether an
  // optional one is there is not told, and onnxruntime 1.19 reads memory that is none of its own.
  void SetShapeOf(size_t output, size_t input);
  // It gets this one, of the type given; nothing is said where an axis is neither known nor named.
  void SetShape(size_t output, const SymbolicShape& shape, ONNXTensorElementDataType type);

  std::optional<int64_t> Integer(const char* name) const override;
  std::optional<std::vector<int64_t>> Integers(const char* name) const override;
  std::optional<float> Float(const char* name) const override;

 private:
  OrtTensorTypeAndShapeInfo* Info(size_t input) const;
  const OrtOpAttr* Attribute(const char* name) const;
  bool Read(const char* name, OrtOpAttrType type, void* data, size_t bytes) const;

  const OrtApi& api_;
  OrtShapeInferContext* context_;
};

}  // namespace svgd
