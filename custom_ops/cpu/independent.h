// Loops whose rounds do not depend on one another, whatever the compiler can see of the pointers.
#pragma once

#if defined(__clang__)
#define SVGD_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define SVGD_INDEPENDENT _Pragma("GCC ivdep")
#elif defined(_MSC_VER)
#define SVGD_INDEPENDENT __pragma(loop(ivdep))
#else
#define SVGD_INDEPENDENT
#endif
