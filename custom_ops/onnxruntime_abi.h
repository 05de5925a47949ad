// The part of onnxruntime's C interface that the operators here use, declared by ourselves.
//
// No onnxruntime wheel carries the C headers. The interface is append-only by contract: an entry of
// the function table keeps its place for ever, so a declaration of the entries used, each at its
// place, is enough, and one binary works in every onnxruntime from 1.19 on. The places are those of
// include/onnxruntime/core/session/onnxruntime_c_api.h, version 19.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

struct OrtStatus;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtSessionOptions;
struct OrtCustomOpDomain;
struct OrtTensorTypeAndShapeInfo;
struct OrtShapeInferContext;
struct OrtOpAttr;
struct OrtValue;
struct OrtAllocator;
struct OrtMemoryInfo;
struct OrtCustomOp;

enum OrtErrorCode { ORT_OK = 0, ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2 };
enum ONNXTensorElementDataType {
  ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED = 0,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 = 2,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 = 7,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 = 10,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE = 11,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16 = 16,
};
enum OrtCustomOpInputOutputCharacteristic {
  INPUT_OUTPUT_REQUIRED = 0,
  INPUT_OUTPUT_OPTIONAL = 1,
  INPUT_OUTPUT_VARIADIC = 2,
};
enum OrtOpAttrType { ORT_OP_ATTR_INT = 1, ORT_OP_ATTR_INTS = 2, ORT_OP_ATTR_FLOAT = 3 };
enum OrtMemType { OrtMemTypeDefault = 0 };

// The table of functions. `unused_A_to_B` stands for the entries from A to B.
struct OrtApi {
  OrtStatus* (*CreateStatus)(OrtErrorCode code, const char* message);  // 0
  void* unused_1_to_25[25];
  OrtStatus* (*CreateCustomOpDomain)(const char* domain, OrtCustomOpDomain** out);         // 26
  OrtStatus* (*CustomOpDomain_Add)(OrtCustomOpDomain* domain, const OrtCustomOp* op);      // 27
  OrtStatus* (*AddCustomOpDomain)(OrtSessionOptions* options, OrtCustomOpDomain* domain);  // 28
  void* unused_29_to_50[22];
  OrtStatus* (*GetTensorMutableData)(OrtValue* value, void** out);  // 51
  void* unused_52_to_56[5];
  OrtStatus* (*CreateTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo** out);  // 57
  OrtStatus* (*SetTensorElementType)(OrtTensorTypeAndShapeInfo* info,
                                     ONNXTensorElementDataType type);  // 58
  OrtStatus* (*SetDimensions)(OrtTensorTypeAndShapeInfo* info, const int64_t* dimensions,
                              size_t count);  // 59
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo* info,
                                     ONNXTensorElementDataType* out);                    // 60
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo* info, size_t* out);  // 61
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo* info, int64_t* dimensions,
                              size_t count);  // 62
  OrtStatus* (*GetSymbolicDimensions)(const OrtTensorTypeAndShapeInfo* info, const char** symbols,
                                      size_t count);  // 63
  OrtStatus* (*GetTensorShapeElementCount)(const OrtTensorTypeAndShapeInfo* info,
                                           size_t* out);  // 64
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue* value,
                                      OrtTensorTypeAndShapeInfo** out);  // 65
  void* unused_66_to_74[9];
  OrtStatus* (*AllocatorAlloc)(OrtAllocator* allocator, size_t bytes, void** out);  // 75
  OrtStatus* (*AllocatorFree)(OrtAllocator* allocator, void* data);                 // 76
  void* unused_77_to_84[8];
  OrtStatus* (*KernelInfoGetAttribute_float)(const OrtKernelInfo* info, const char* name,
                                             float* out);  // 85
  OrtStatus* (*KernelInfoGetAttribute_int64)(const OrtKernelInfo* info, const char* name,
                                             int64_t* out);  // 86
  void* unused_87[1];
  OrtStatus* (*KernelContext_GetInputCount)(const OrtKernelContext* context, size_t* out);   // 88
  OrtStatus* (*KernelContext_GetOutputCount)(const OrtKernelContext* context, size_t* out);  // 89
  OrtStatus* (*KernelContext_GetInput)(const OrtKernelContext* context, size_t index,
                                       const OrtValue** out);  // 90
  OrtStatus* (*KernelContext_GetOutput)(OrtKernelContext* context, size_t index,
                                        const int64_t* dimensions, size_t count,
                                        OrtValue** out);  // 91
  void* unused_92[1];
  void (*ReleaseStatus)(OrtStatus* status);  // 93
  void* unused_94_to_98[5];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo* info);  // 99
  void* unused_100[1];
  void (*ReleaseCustomOpDomain)(OrtCustomOpDomain* domain);  // 101
  void* unused_102_to_131[30];
  void (*ReleaseAllocator)(OrtAllocator* allocator);  // 132
  void* unused_133_to_162[30];
  OrtStatus* (*KernelInfoGetAttributeArray_int64)(const OrtKernelInfo* info, const char* name,
                                                  int64_t* out, size_t* count);  // 163
  void* unused_164_to_192[29];
  OrtStatus* (*KernelContext_GetGPUComputeStream)(const OrtKernelContext* context,
                                                  void** out);                          // 193
  OrtStatus* (*GetTensorMemoryInfo)(const OrtValue* value, const OrtMemoryInfo** out);  // 194
  void* unused_195_to_252[58];
  OrtStatus* (*KernelContext_GetAllocator)(const OrtKernelContext* context,
                                           const OrtMemoryInfo* place,
                                           OrtAllocator** out);  // 253
  void* unused_254_to_266[13];
  OrtStatus* (*ShapeInferContext_GetInputCount)(const OrtShapeInferContext* context,
                                                size_t* out);  // 267
  OrtStatus* (*ShapeInferContext_GetInputTypeShape)(const OrtShapeInferContext* context,
                                                    size_t index,
                                                    OrtTensorTypeAndShapeInfo** out);  // 268
  OrtStatus* (*ShapeInferContext_GetAttribute)(const OrtShapeInferContext* context,
                                               const char* name, const OrtOpAttr** out);  // 269
  OrtStatus* (*ShapeInferContext_SetOutputTypeShape)(const OrtShapeInferContext* context,
                                                     size_t index,
                                                     const OrtTensorTypeAndShapeInfo* info);  // 270
  OrtStatus* (*SetSymbolicDimensions)(OrtTensorTypeAndShapeInfo* info, const char** symbols,
                                      size_t count);  // 271
  OrtStatus* (*ReadOpAttr)(const OrtOpAttr* attribute, OrtOpAttrType type, void* data, size_t bytes,
                           size_t* needed);  // 272
  void* unused_273[1];
  OrtStatus* (*KernelContext_ParallelFor)(const OrtKernelContext* context,
                                          void (*task)(void* data, size_t index), size_t total,
                                          size_t batches, void* data);  // 274
};

// Places, in bytes of 64-bit pointers.
#define SVGD_ASSERT_PLACE(name, place) \
  static_assert(offsetof(OrtApi, name) == (place) * sizeof(void*), #name)
SVGD_ASSERT_PLACE(CreateStatus, 0);
SVGD_ASSERT_PLACE(CreateCustomOpDomain, 26);
SVGD_ASSERT_PLACE(AddCustomOpDomain, 28);
SVGD_ASSERT_PLACE(GetTensorMutableData, 51);
SVGD_ASSERT_PLACE(CreateTensorTypeAndShapeInfo, 57);
SVGD_ASSERT_PLACE(GetTensorElementType, 60);
SVGD_ASSERT_PLACE(GetDimensions, 62);
SVGD_ASSERT_PLACE(GetSymbolicDimensions, 63);
SVGD_ASSERT_PLACE(GetTensorShapeElementCount, 64);
SVGD_ASSERT_PLACE(GetTensorTypeAndShape, 65);
SVGD_ASSERT_PLACE(AllocatorAlloc, 75);
SVGD_ASSERT_PLACE(AllocatorFree, 76);
SVGD_ASSERT_PLACE(KernelInfoGetAttribute_float, 85);
SVGD_ASSERT_PLACE(KernelInfoGetAttribute_int64, 86);
SVGD_ASSERT_PLACE(KernelContext_GetInputCount, 88);
SVGD_ASSERT_PLACE(KernelContext_GetInput, 90);
SVGD_ASSERT_PLACE(KernelContext_GetOutput, 91);
SVGD_ASSERT_PLACE(ReleaseStatus, 93);
SVGD_ASSERT_PLACE(ReleaseTensorTypeAndShapeInfo, 99);
SVGD_ASSERT_PLACE(ReleaseCustomOpDomain, 101);
SVGD_ASSERT_PLACE(ReleaseAllocator, 132);
SVGD_ASSERT_PLACE(KernelInfoGetAttributeArray_int64, 163);
SVGD_ASSERT_PLACE(KernelContext_GetGPUComputeStream, 193);
SVGD_ASSERT_PLACE(GetTensorMemoryInfo, 194);
SVGD_ASSERT_PLACE(KernelContext_GetAllocator, 253);
SVGD_ASSERT_PLACE(ShapeInferContext_GetInputCount, 267);
SVGD_ASSERT_PLACE(ShapeInferContext_GetInputTypeShape, 268);
SVGD_ASSERT_PLACE(ShapeInferContext_SetOutputTypeShape, 270);
SVGD_ASSERT_PLACE(ReadOpAttr, 272);
SVGD_ASSERT_PLACE(KernelContext_ParallelFor, 274);
#undef SVGD_ASSERT_PLACE

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

// A custom operator: functions that onnxruntime calls back.
struct OrtCustomOp {
  uint32_t version;  // of the interface that the operator was written for
  void* (*CreateKernel)(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info);
  const char* (*GetName)(const OrtCustomOp* op);
  const char* (*GetExecutionProviderType)(const OrtCustomOp* op);
  ONNXTensorElementDataType (*GetInputType)(const OrtCustomOp* op, size_t index);
  size_t (*GetInputTypeCount)(const OrtCustomOp* op);
  ONNXTensorElementDataType (*GetOutputType)(const OrtCustomOp* op, size_t index);
  size_t (*GetOutputTypeCount)(const OrtCustomOp* op);
  void (*KernelCompute)(void* kernel, OrtKernelContext* context);
  void (*KernelDestroy)(void* kernel);
  OrtCustomOpInputOutputCharacteristic (*GetInputCharacteristic)(const OrtCustomOp* op,
                                                                 size_t index);
  OrtCustomOpInputOutputCharacteristic (*GetOutputCharacteristic)(const OrtCustomOp* op,
                                                                  size_t index);
  OrtMemType (*GetInputMemoryType)(const OrtCustomOp* op, size_t index);
  int (*GetVariadicInputMinArity)(const OrtCustomOp* op);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp* op);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp* op);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp* op);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                               void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext* context);
  OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp* op, OrtShapeInferContext* context);
  int (*GetStartVersion)(const OrtCustomOp* op);
  int (*GetEndVersion)(const OrtCustomOp* op);
  size_t (*GetMayInplace)(int** inputs, int** outputs);
  void (*ReleaseMayInplace)(int* inputs, int* outputs);
  size_t (*GetAliasMap)(int** inputs, int** outputs);
  void (*ReleaseAliasMap)(int* inputs, int* outputs);
};

}  // extern "C"

namespace svgd {
constexpr uint32_t kOrtApiVersion = 19;
}
