#include "cpu/virtual_gradient_kernel.h"

#include <algorithm>

#include "cpu/by_channels.h"
#include "cpu/by_columns.h"
#include "cpu/by_rows.h"

namespace svgd {
namespace {

// More rows than these are cut into chunks of rows instead of blocks of columns.
constexpr size_t kMaxBlockRows = 1024;

}  // namespace

template <typename Element>
void VirtualGradient(const Element* dy, const Compute<Element>* r, Element* out,
                     Compute<Element>* r_new, Compute<Element>* factors,
                     const VirtualGradientShape& shape, const VirtualGradientAttributes& attributes,
                     ParallelFor parallel_for, void* context, Compute<Element>* sums) {
  using Number = Compute<Element>;
  if (shape.channels == 0) return;
  if (shape.outer * shape.inner == 0) {
    if (r_new != r) std::copy(r, r + shape.channels, r_new);
    if (factors != nullptr) std::fill(factors, factors + shape.channels, Number{1});
    if (sums != nullptr) std::fill(sums, sums + shape.channels, Number{0});
    return;
  }
  const size_t columns = shape.channels * shape.inner, first = shape.first_of_r;
  const Traversal<Element> shared{dy,
                                  r,
                                  out,
                                  r_new,
                                  factors,
                                  sums,
                                  shape.outer,
                                  shape.channels,
                                  shape.inner,
                                  {first, shape.channels / first},
                                  columns,
                                  attributes,
                                  parallel_for,
                                  context,
                                  Loops<Element>(Widest())};
  if (shape.inner > kLongRow) {
    ByChannels<Element>(shared).Run();
  } else if (shape.outer > kMaxBlockRows ||
             (columns < kShortRow && shape.outer * columns > kChunkElements)) {
    ByRows<Element>(shared).Run();
  } else {
    ByColumns<Element>(shared).Run();
  }
}

#define SVGD_INSTANTIATE(Element)                                                              \
  template void VirtualGradient<Element>(                                                      \
      const Element*, const Compute<Element>*, Element*, Compute<Element>*, Compute<Element>*, \
      const VirtualGradientShape&, const VirtualGradientAttributes&, ParallelFor, void*,       \
      Compute<Element>*);
SVGD_INSTANTIATE(float)
SVGD_INSTANTIATE(double)
SVGD_INSTANTIATE(Float16)
SVGD_INSTANTIATE(BFloat16)
#undef SVGD_INSTANTIATE

}  // namespace svgd
