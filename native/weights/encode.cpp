#include "encode.hpp"

#include "kernels.hpp"

namespace trtnemo {

namespace portable { extern const weights::Encoders kEncoders; }
#if defined(TRTNEMO_X86)
namespace avx2 { extern const weights::Encoders kEncoders; }
namespace avx512 { extern const weights::Encoders kEncoders; }
#endif

const weights::Encoders* weights::find_encoders(std::string_view kernels) {
    for (const Kernels* usable : usable_kernels()) {
        if (kernels != usable->name) {
            continue;
        }
#if defined(TRTNEMO_X86)
        if (kernels == "avx512") {
            return &avx512::kEncoders;
        }
        if (kernels == "avx2") {
            return &avx2::kEncoders;
        }
#endif
        return &portable::kEncoders;
    }
    return nullptr;
}

}  // namespace trtnemo
