// Which forms of the kernels this machine can run.
#include <stdexcept>

#include "kernels.hpp"

#if defined(TRTNEMO_ARM) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(TRTNEMO_ARM)
#include <sys/sysctl.h>
#endif

namespace trtnemo {

namespace portable { extern const Kernels kKernels; }
#if defined(TRTNEMO_X86)
namespace avx2 { extern const Kernels kKernels; }
namespace avx512 { extern const Kernels kKernels; }
#elif defined(TRTNEMO_ARM)
namespace neon { extern const Kernels kKernels; }
namespace i8mm { extern const Kernels kKernels; }
namespace {
#if defined(__linux__)
bool has_dot_product() { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }
bool has_matrix_product() { return has_dot_product() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM); }
#else  // macOS: every chip that runs it has the first, those from the M2 on the second
bool has_dot_product() { return true; }
bool has_matrix_product() {
    int has = 0;
    std::size_t size = sizeof(has);
    return sysctlbyname("hw.optional.arm.FEAT_I8MM", &has, &size, nullptr, 0) == 0 && has != 0;
}
#endif
}  // namespace
#endif

std::span<const Kernels* const> usable_kernels() {
    static const Kernels* found[3];
    static const std::size_t number = [] {
        std::size_t n = 0;
#if defined(TRTNEMO_X86)
        __builtin_cpu_init();
        const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
        const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                                __builtin_cpu_supports("avx512vnni");
        if (has_avx512) found[n++] = &avx512::kKernels;
        if (has_avx2) found[n++] = &avx2::kKernels;
#elif defined(TRTNEMO_ARM)
        if (has_matrix_product()) found[n++] = &i8mm::kKernels;
        if (has_dot_product()) found[n++] = &neon::kKernels;
#endif
        found[n++] = &portable::kKernels;
        return n;
    }();
    return {found, number};
}

const Kernels& kernels_named(const std::string& name) {
    for (const Kernels* kernels : usable_kernels()) {
        if (name == kernels->name) return *kernels;
    }
    throw std::invalid_argument("this machine has no kernels called " + name);
}

}  // namespace trtnemo
