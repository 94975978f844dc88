// Which form of the kernels a name means.
#include <cstring>

#include "encode.hpp"
#include "kernels.hpp"
#include "scan.hpp"

namespace trtnemo {

#define TRTNEMO_FORM(name)                      \
    namespace name {                            \
    extern const weights::Encoders kEncoders;   \
    extern const weights::Scanner kScanner;     \
    }
TRTNEMO_FORM(portable)
#if defined(TRTNEMO_X86)
TRTNEMO_FORM(avx2)
TRTNEMO_FORM(avx512)
#elif defined(TRTNEMO_ARM)
TRTNEMO_FORM(neon)
TRTNEMO_FORM(i8mm)
#endif

namespace {

struct Form {
    std::string_view name;
    const weights::Encoders* encoders;
    const weights::Scanner* scanner;
};

constexpr Form kForms[] = {
    {"portable", &portable::kEncoders, &portable::kScanner},
#if defined(TRTNEMO_X86)
    {"avx2", &avx2::kEncoders, &avx2::kScanner},
    {"avx512", &avx512::kEncoders, &avx512::kScanner},
#elif defined(TRTNEMO_ARM)
    {"neon", &neon::kEncoders, &neon::kScanner},
    {"i8mm", &i8mm::kEncoders, &i8mm::kScanner},
#endif
};

const Form* find_form(std::string_view kernels) {
    for (const Kernels* usable : usable_kernels()) {
        for (const Form& form : kForms) {
            if (kernels == usable->name && kernels == form.name) {
                return &form;
            }
        }
    }
    return nullptr;
}

}  // namespace

const weights::Encoders* weights::find_encoders(std::string_view kernels) {
    const Form* form = find_form(kernels);
    return form == nullptr ? nullptr : form->encoders;
}

const weights::Scanner* weights::find_scanner(std::string_view kernels) {
    const Form* form = find_form(kernels);
    return form == nullptr ? nullptr : form->scanner;
}

std::uint64_t weights::digest(const void* data, std::size_t size, std::uint64_t before) {
    constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15ULL;
    const auto mixed = [](std::uint64_t state, std::uint64_t word) {
        state = (state ^ word) * kMultiplier;
        return state ^ (state >> 29);
    };
    std::uint64_t states[4] = {before + 1, before + 2, before + 3, before + 4};
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    std::size_t at = 0;
    for (; at + sizeof states <= size; at += sizeof states) {
        std::uint64_t words[4];
        std::memcpy(words, bytes + at, sizeof words);
        for (std::size_t lane = 0; lane < 4; ++lane) states[lane] = mixed(states[lane], words[lane]);
    }
    std::uint64_t rest[4] = {};
    std::memcpy(rest, bytes + at, size - at);
    std::uint64_t all = size;
    for (std::size_t lane = 0; lane < 4; ++lane) all = mixed(mixed(all, states[lane]), rest[lane]);
    return all;
}

}  // namespace trtnemo
