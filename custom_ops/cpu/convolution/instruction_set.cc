// Which of the compiled loops of convolution this processor can run.
#include "cpu/instruction_set.h"

#include "cpu/convolution/loops.h"

namespace svgd {

namespace baseline {
extern const convolution::LoopsOfSet kConvolutionLoops;
}
#ifdef SVGD_X86_VARIANTS
namespace avx2 {
extern const convolution::LoopsOfSet kConvolutionLoops;
}
namespace avx512 {
extern const convolution::LoopsOfSet kConvolutionLoops;
}
#endif

namespace convolution {

const LoopsOfSet& LoopsFor(InstructionSet set) {
#ifdef SVGD_X86_VARIANTS
  if (set == InstructionSet::kAvx512) return avx512::kConvolutionLoops;
  if (set == InstructionSet::kAvx2) return avx2::kConvolutionLoops;
#endif
  static_cast<void>(set);
  return baseline::kConvolutionLoops;
}

const LoopsOfSet& WidestLoops() { return LoopsFor(Widest()); }

}  // namespace convolution
}  // namespace svgd
