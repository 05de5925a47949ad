// Those that this processor can run.
#pragma once

#include <vector>

#include "cpu/instruction_set.h"

namespace svgd::tests {

inline std::vector<InstructionSet> InstructionSets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set :
       {InstructionSet::kBaseline, InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (set <= Widest()) sets.push_back(set);
  }
  return sets;
}

}  // namespace svgd::tests
