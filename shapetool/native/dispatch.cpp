// Which instruction set runs: the best this machine has, or the one named in SHAPETOOL_SIMD.
#include <cstdlib>
#include <cstring>

#include "scene.hpp"

namespace shapetool {

extern const Functions table_baseline;
#if defined(SHAPETOOL_X86)
extern const Functions table_avx2;
extern const Functions table_avx512;
#endif

const Functions *functions_named(const char *name) {
    if (std::strcmp(name, "baseline") == 0) return &table_baseline;
#if defined(SHAPETOOL_X86)
    __builtin_cpu_init();
    if (std::strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &table_avx2;
    if (std::strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        return &table_avx512;
#endif
    return nullptr;
}

const Functions &functions() {
    static const Functions &chosen = []() -> const Functions & {
        if (const char *name = std::getenv("SHAPETOOL_SIMD"))
            if (const Functions *wanted = functions_named(name)) return *wanted;
        for (const char *name : {"avx512", "avx2"})
            if (const Functions *found = functions_named(name)) return *found;
        return *functions_named("baseline");
    }();
    return chosen;
}

}  // namespace shapetool
