// Which rows indices name.
#pragma once

#include <string>
#include <vector>

#include "op.h"
#include "status.h"

namespace svgd {

// The rows, of so many, that an input's indices name, those below 0 from the end.
inline std::vector<size_t> RowsOf(const RunContext& context, size_t input, int64_t count) {
  const auto* indices = context.InputData<int64_t>(input);
  std::vector<size_t> rows(context.InputSize(input));
  for (size_t index = 0; index < rows.size(); ++index) {
    const int64_t row = indices[index] < 0 ? indices[index] + count : indices[index];
    if (row < 0 || row >= count) {
      throw Refusal("the index " + std::to_string(indices[index]) + " is not of one of " +
                    std::to_string(count) + " rows.");
    }
    rows[index] = static_cast<size_t>(row);
  }
  return rows;
}

}  // namespace svgd
