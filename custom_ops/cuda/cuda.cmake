# The operators for the CUDA execution provider, in the same library. CUDA's runtime is linked
# statically: the library loads on a machine without a GPU, where these operators are never asked for.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES all-major)  # sm_75, which is CUDA 13's oldest, up to sm_120
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)

add_library(svgd_cuda_kernels STATIC custom_ops/cuda/virtual_gradient_kernel.cu)
target_include_directories(svgd_cuda_kernels PUBLIC custom_ops)
target_compile_options(
  svgd_cuda_kernels PRIVATE -Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Wconversion --threads=2
)
target_link_libraries(svgd_cuda_kernels PUBLIC CUDA::cudart_static)

target_sources(svgd_onnx_custom_ops PRIVATE custom_ops/cuda/virtual_gradient_cuda.cc)
target_compile_definitions(svgd_onnx_custom_ops PRIVATE SVGD_CUDA)
target_link_libraries(svgd_onnx_custom_ops PRIVATE svgd_cuda_kernels)

if(SVGD_BUILD_TESTS)
  add_executable(svgd_cuda_tests custom_ops/tests/virtual_gradient_cuda_test.cu)
  target_link_libraries(svgd_cuda_tests PRIVATE svgd_cuda_kernels)
endif()
