// The innermost loops of T. virtual_gradient_loops.cc is compiled once for each instruction set
// that a processor may have.
#pragma once

#include <cstddef>

#include "cpu/instruction_set.h"
#include "cpu/virtual_gradient_kernel.h"

namespace svgd {

// Rows lie `pitch` elements apart, backwards where it is negative, and have `count` elements; row i
// of dy belongs to row i of out.
template <typename Element>
struct VirtualGradientLoops {
  using Number = Compute<Element>;

  // sums[c] += the sum over rows of dy[row, c]^2, rows taken in pairs; and plain[c] += that of
  // dy[row, c], where `plain` is not null
  void (*sum_squares)(const Element* dy, size_t rows, std::ptrdiff_t pitch, size_t count,
                      Number* sums, Number* plain);

  // out[row, c] = dy[row, c] factors[c]; out may be dy
  void (*scale)(const Element* dy, Element* out, size_t rows, std::ptrdiff_t pitch, size_t count,
                const Number* factors);

  // Both at once: scales dy into out, and sums the squares of `next`, which out does not overlap.
  void (*scale_and_sum)(const Element* dy, Element* out, const Number* factors, const Element* next,
                        Number* sums, Number* plain, size_t rows, std::ptrdiff_t pitch,
                        size_t count);

  // the sum over one row of dy[c]^2
  Number (*sum_squares_of_row)(const Element* dy, size_t count);

  // out[c] = dy[c] factor
  void (*scale_row)(const Element* dy, Element* out, size_t count, Number factor);

  // r_new[c] = rho r[c] + share sums[c]; then sums[c] = scale / sqrt(r_new[c] + epsilon)
  void (*update)(const Number* r, Number* r_new, Number* sums, size_t count, Number rho,
                 Number share, Number scale, Number epsilon);
};

// The loops of an instruction set; those of kBaseline where there are none for it.
template <typename Element>
const VirtualGradientLoops<Element>& Loops(InstructionSet instruction_set);

}  // namespace svgd
