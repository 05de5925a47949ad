// Compiled once for each instruction set, with SVGD_INSTRUCTION_SET its name, as
// virtual_gradient_loops.cc is.
#include "cpu/activation_gradient_loops.h"

#include "cpu/exponential.h"
#include "cpu/independent.h"

namespace svgd {
namespace SVGD_INSTRUCTION_SET {
namespace {

// 1 - erf(t) for t >= 0, by polynomials on both sides of 0.93 (N. Juffa's erff).
inline float ComplementaryError(float t) {
  const float square = t * t;
  const float bounded = t > 10.0F ? 10.0F : t;
  float far = (-1.72853470e-5F * bounded + 3.83197126e-4F) * (bounded * bounded);
  far = far + (-3.88396438e-3F * bounded + 2.42546219e-2F);
  far = far * bounded + -1.06777877e-1F;
  far = far * bounded + -6.34846687e-1F;
  far = far * bounded + -1.28717512e-1F;
  far = far * bounded + -bounded;
  float near = -5.96761703e-4F;
  near = near * square + 4.99119423e-3F;
  near = near * square + -2.67681349e-2F;
  near = near * square + 1.12819925e-1F;
  near = near * square + -3.76125336e-1F;
  near = near * square + 1.28379166e-1F;
  near = near * t + t;
  const float beyond = ExponentialOfNegative(far);
  return t > 0.927734375F ? beyond : 1.0F - near;
}

void Gelu(const float* dy, const float* x, float* dx, size_t count) {
  SVGD_INDEPENDENT
  for (size_t i = 0; i < count; ++i) {
    const float value = x[i];
    const float size = value < 0 ? -value : value;
    const float half = 0.5F * ComplementaryError(size * 0.707106781F);
    const float cumulative = value < 0 ? half : 1.0F - half;
    const float density = 0.398942280F * ExponentialOfNegative(-0.5F * (value * value));
    dx[i] = dy[i] * (cumulative + value * density);
  }
}

void Logistic(const float* dy, const float* x, float* dx, size_t count, float linear, float cubic) {
  SVGD_INDEPENDENT
  for (size_t i = 0; i < count; ++i) {
    const float value = x[i];
    const float square = value * value;
    const float inner = value * (linear + cubic * square);
    const float small = ExponentialOfNegative(inner < 0 ? inner : -inner);
    const float part = 1.0F / (1.0F + small);
    const float other = small * part;
    const float logistic = inner < 0 ? other : part;
    const float slope = value * (linear + 3.0F * cubic * square);
    dx[i] = dy[i] * (logistic + slope * (part * other));
  }
}

}  // namespace

extern const ActivationGradientLoops kActivationGradient = {Gelu, Logistic};

}  // namespace SVGD_INSTRUCTION_SET
}  // namespace svgd
