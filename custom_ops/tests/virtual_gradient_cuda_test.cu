// T on a CUDA device: its results against the formula in double precision, and its speed beside a
// copy from device memory to device memory. Prints a table; exits with 1 if a result is wrong, and
// with 77 where there is no device.
//
//     svgd_cuda_tests [--json FILE]

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cuda/virtual_gradient_kernel.h"

namespace {

using svgd::VirtualGradientAttributes;
using svgd::VirtualGradientShape;

constexpr VirtualGradientAttributes kAttributes{0.9F, 1e-6F, 0.1F, 3.0F};

void Check(cudaError_t error) {
  if (error != cudaSuccess) {
    std::fprintf(stderr, "CUDA: %s\n", cudaGetErrorString(error));
    std::exit(1);
  }
}

// Device memory, starting `offset` elements into an allocation.
template <typename Element>
class Device {
 public:
  explicit Device(size_t count, size_t offset = 0) : count_(count), offset_(offset) {
    Check(cudaMalloc(&data_, (count + offset + 1) * sizeof(Element)));
  }
  explicit Device(const std::vector<Element>& values, size_t offset = 0)
      : Device(values.size(), offset) {
    Check(cudaMemcpy(get(), values.data(), count_ * sizeof(Element), cudaMemcpyHostToDevice));
  }
  ~Device() { cudaFree(data_); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  Element* get() const { return static_cast<Element*>(data_) + offset_; }
  std::vector<Element> Values() const {
    std::vector<Element> values(count_);
    Check(cudaMemcpy(values.data(), get(), count_ * sizeof(Element), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  size_t count_, offset_;
  void* data_ = nullptr;
};

double Value(float element) { return static_cast<double>(element); }
double Value(double element) { return element; }
double Value(svgd::Float16 element) {
  return static_cast<double>(__half2float(__half(__half_raw{element.bits})));
}
// What errors are relative to where a value is smaller: half's subnormal numbers have fewer digits.
template <typename Element>
constexpr double kSmall = sizeof(Element) == 2 ? 6.2e-5 : 1e-5;

void Set(double value, float* element) { *element = static_cast<float>(value); }
void Set(double value, double* element) { *element = value; }
void Set(double value, svgd::Float16* element) {
  element->bits = static_cast<__half_raw>(__float2half_rn(static_cast<float>(value))).x;
}

// The largest relative error of T and of r, against double precision. T runs in place or not, and
// with arrays that are aligned or not.
template <typename Element>
double Error(const VirtualGradientShape& shape, bool in_place, size_t offset) {
  using Number = svgd::Compute<Element>;
  const size_t size = shape.outer * shape.channels * shape.inner;
  std::mt19937 random(0);
  std::normal_distribution<double> normal(0.0, 0.01);
  std::vector<Element> dy(size);
  std::vector<Number> r(shape.channels);
  for (Element& value : dy) Set(normal(random), &value);
  for (Number& value : r) value = static_cast<Number>(std::abs(normal(random)) * 0.01);

  const Device<Element> device_dy(dy, offset), device_out(size, offset);
  const Device<Number> device_r(r), device_r_new(r.size()), device_factors(r.size());
  const size_t bytes = svgd::WorkspaceBytes<Element>(shape);
  const Device<char> workspace(bytes);
  const auto run = [&](Element* out, Number* r_new, Number* factors) {
    Check(svgd::VirtualGradientCuda(device_dy.get(), device_r.get(), out, r_new, factors, shape,
                                    kAttributes, workspace.get(), nullptr));
  };
  run(nullptr, device_r_new.get(), device_factors.get());
  const std::vector<Number> factors = device_factors.Values();
  run(in_place ? device_dy.get() : device_out.get(), in_place ? device_r.get() : device_r_new.get(),
      nullptr);
  const std::vector<Element> out = (in_place ? device_dy : device_out).Values();
  const std::vector<Number> r_new = (in_place ? device_r : device_r_new).Values();

  double worst = 0;
  const double rho = static_cast<double>(kAttributes.rho);
  for (size_t c = 0; c < shape.channels; ++c) {
    double sum = 0;
    for (size_t o = 0; o < shape.outer; ++o) {
      for (size_t i = 0; i < shape.inner; ++i) {
        const double value = 3.0 * Value(dy[(o * shape.channels + c) * shape.inner + i]);
        sum += value * value;
      }
    }
    const double mean = sum / static_cast<double>(shape.outer * shape.inner);
    const double expected = rho * static_cast<double>(r[c]) + (1 - rho) * mean;
    const double factor = static_cast<double>(kAttributes.scale) /
                          std::sqrt(expected + static_cast<double>(kAttributes.epsilon));
    worst = std::max(worst, std::abs(static_cast<double>(r_new[c]) / expected - 1));
    worst = std::max(worst, std::abs(static_cast<double>(factors[c]) / factor - 1));
    for (size_t o = 0; o < shape.outer; ++o) {
      for (size_t i = 0; i < shape.inner; ++i) {
        const size_t place = (o * shape.channels + c) * shape.inner + i;
        const double wanted = factor * Value(dy[place]);
        worst = std::max(worst, std::abs(Value(out[place]) - wanted) /
                                    std::max(std::abs(wanted), kSmall<Element>));
      }
    }
  }
  return worst;
}

// Narrow and wide, short and tall, primes, both sides of every bound in the kernels; and channels
// with rows of their own.
const std::vector<VirtualGradientShape> kShapes = {
    {1, 1, 1},      {1, 7, 1},       {2, 31, 1},     {32, 10, 1},     {7, 1009, 1},
    {128, 129, 1},  {8, 4096, 1},    {9, 5000, 1},   {33, 40001, 1},  {128, 50000, 1},
    {129, 8192, 1}, {1024, 4100, 1}, {1025, 511, 1}, {20000, 10, 1},  {70001, 3, 1},
    {300, 127, 1},  {1, 1, 2},       {4, 3, 5},      {8, 16, 49},     {32, 3, 1024},
    {5, 64, 17},    {1, 2, 100003},  {128, 64, 64},  {2, 300, 12544}, {1, 100000, 1}};

template <typename Element>
bool Correct(const char* name, double tolerance) {
  double worst = 0;
  for (const VirtualGradientShape& shape : kShapes) {
    for (const bool in_place : {false, true}) {
      for (const size_t offset : {0, 1}) {
        const double error = Error<Element>(shape, in_place, offset);
        if (!(error <= tolerance)) {
          std::printf("WRONG: %s (%zu, %zu, %zu), %s, offset %zu: error %.2e\n", name, shape.outer,
                      shape.channels, shape.inner, in_place ? "in place" : "apart", offset, error);
        }
        worst = std::max(worst, std::isnan(error) ? HUGE_VAL : error);
      }
    }
  }
  std::printf("%-8s largest relative error over %zu shapes: %.2e (tolerance %.0e)\n", name,
              kShapes.size(), worst, tolerance);
  return worst <= tolerance;
}

// The median of seconds, over repeats that are measured one by one.
double Seconds(const std::function<void()>& run) {
  constexpr int kRepeats = 30;
  cudaEvent_t start, stop;
  Check(cudaEventCreate(&start));
  Check(cudaEventCreate(&stop));
  for (int i = 0; i < 3; ++i) run();
  std::vector<double> seconds;
  for (int i = 0; i < kRepeats; ++i) {
    Check(cudaEventRecord(start));
    run();
    Check(cudaEventRecord(stop));
    Check(cudaEventSynchronize(stop));
    float milliseconds = 0;
    Check(cudaEventElapsedTime(&milliseconds, start, stop));
    seconds.push_back(static_cast<double>(milliseconds) / 1e3);
  }
  Check(cudaEventDestroy(start));
  Check(cudaEventDestroy(stop));
  std::nth_element(seconds.begin(), seconds.begin() + kRepeats / 2, seconds.end());
  return seconds[kRepeats / 2];
}

void Speed(std::FILE* json) {
  const std::vector<VirtualGradientShape> shapes = {
      {32, 10, 1},      {128, 512, 1},    {128, 8192, 1},   {128, 16384, 1},
      {128, 32768, 1},  {128, 131072, 1}, {8192, 1000, 1},  {2048, 768, 1},
      {32768, 3072, 1}, {200000, 10, 1},  {128, 802816, 1}, {128, 16, 1024},
      {128, 128, 1024}, {128, 64, 12544}, {1, 4000000, 1},  {1024, 131072, 1}};
  std::printf("\n%-24s %10s %12s %12s %8s %12s %8s\n", "(outer, channels, inner)", "MB",
              "copy GB/s", "T GB/s", "share", "apart GB/s", "share");
  std::string rows;
  for (const VirtualGradientShape& shape : shapes) {
    const size_t size = shape.outer * shape.channels * shape.inner;
    const Device<float> dy(std::vector<float>(size, 0.01F)), other(size);
    const Device<float> r(std::vector<float>(shape.channels, 1.0F));
    const Device<char> workspace(svgd::WorkspaceBytes<float>(shape));
    // A factor of 1, so that values stay what they are over the repeats.
    const VirtualGradientAttributes attributes{0.9F, 1.0F, 1.0F, 1.0F};
    const auto virtual_gradient = [&](float* out) {
      Check(svgd::VirtualGradientCuda(dy.get(), r.get(), out, r.get(), static_cast<float*>(nullptr),
                                      shape, attributes, workspace.get(), nullptr));
    };
    const double bytes = static_cast<double>(size * sizeof(float));
    const double moved = 2 * (bytes + static_cast<double>(shape.channels * sizeof(float)));
    const double copy = 2 * bytes / 1e9 / Seconds([&] {
                          Check(cudaMemcpyAsync(other.get(), dy.get(), size * sizeof(float),
                                                cudaMemcpyDeviceToDevice, nullptr));
                        });
    const double in_place = moved / 1e9 / Seconds([&] { virtual_gradient(dy.get()); });
    const double apart = moved / 1e9 / Seconds([&] { virtual_gradient(other.get()); });
    const std::string name = "(" + std::to_string(shape.outer) + ", " +
                             std::to_string(shape.channels) + ", " + std::to_string(shape.inner) +
                             ")";
    std::printf("%-24s %10.3f %12.0f %12.0f %8.2f %12.0f %8.2f\n", name.c_str(), bytes / 1e6, copy,
                in_place, in_place / copy, apart, apart / copy);
    char row[256];
    std::snprintf(row, sizeof row,
                  "%s\n {\"shape\": \"%s\", \"MB\": %.3f, \"copy\": %.1f, \"in place\": %.1f, "
                  "\"apart\": %.1f}",
                  rows.empty() ? "" : ",", name.c_str(), bytes / 1e6, copy, in_place, apart);
    rows += row;
  }
  if (json != nullptr) std::fprintf(json, "[%s\n]\n", rows.c_str());
}

}  // namespace

int main(int count, char** arguments) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::puts("There is no CUDA device here.");
    return 77;
  }
  cudaDeviceProp properties;
  Check(cudaGetDeviceProperties(&properties, 0));
  std::printf("%s\n", properties.name);
  bool correct = Correct<float>("float", 2e-6);
  correct = Correct<double>("double", 1e-13) && correct;
  correct = Correct<svgd::Float16>("float16", 1e-3) && correct;

  std::FILE* json = nullptr;
  if (count == 3 && std::strcmp(arguments[1], "--json") == 0) json = std::fopen(arguments[2], "w");
  Speed(json);
  if (json != nullptr) std::fclose(json);
  return correct ? 0 : 1;
}
