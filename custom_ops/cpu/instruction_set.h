// Instruction sets that loops are compiled for.
#pragma once

namespace svgd {

// Each is wider than the one before. kAvx2 is AVX2 with FMA.
enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

// The widest that this processor runs.
InstructionSet Widest();

}  // namespace svgd
