// How the sums of a weight gradient are cut: into blocks of dY's pixels, parts of several blocks
// that are summed apart, slices of X's channels and stacks of dY's panels. All follows from the
// shape, so that the order of every sum does.
#pragma once

#include <cstddef>

#include "convolution.h"
#include "cpu/convolution/loops.h"

namespace svgd::convolution {

// Of the pixels of dY, as planes (of all examples) of rows of columns: either whole planes, or
// whole rows of one plane, or columns of one row.
struct GradientBlock {
  size_t plane, planes, row, rows, column, columns;
  size_t pixels() const { return planes * rows * columns; }
};

struct WeightGradientPlan {
  WeightGradientPlan(const ConvolutionShape& shape, const Loops& loops);

  GradientBlock Block(size_t index) const;
  size_t tasks() const { return parts * slices * stacks * shape.groups; }
  // The sums of a panel: of each element of the kernel and each channel, and of dY itself.
  size_t numbers() const { return shape.taps() * shape.group_channels(); }
  size_t panel_sums() const { return (numbers() + 1) * loops.panel; }
  size_t part_sums() const { return shape.groups * panels * panel_sums(); }

  const ConvolutionShape& shape;
  const Loops& loops;
  size_t panels;                          // of a group's outputs
  size_t stacks, stack;                   // of a group's panels
  size_t slices, slice;                   // of a group's channels
  size_t planes_of, rows_of, columns_of;  // of a block, at most
  size_t row_blocks, column_blocks;       // of a plane and of a row
  size_t blocks, parts;
  // Whether X is copied once for all elements of the kernel, with the zeros around it; or else for
  // each of them what it sees.
  bool window;

 private:
  void CutIntoTasks();
};

}  // namespace svgd::convolution
