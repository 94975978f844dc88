// FP8 and FP4 by whole numbers, for loops that compilers turn into vectors. Compiled once for each form.
#pragma once

#include <bit>
#include <cstdint>

namespace trtnemo::TRTNEMO_KERNELS {

constexpr float kE2m1Max = 6.0F;

constexpr std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

// Magnitudes are compared by their bits, which are in their order: compilers turn float comparisons into vectors for some
// machines alone.
constexpr std::uint32_t kMagnitude = 0x7FFFFFFFU;
constexpr std::uint32_t kE4m3Max = bits_of(448.0F), kLeastNormal = bits_of(0x1p-6F), kLeastScale = bits_of(0x1p-9F);

// One of two, without a branch, which compilers do not turn into vectors.
inline std::uint32_t chosen(bool first, std::uint32_t one, std::uint32_t other) {
    return other ^ ((one ^ other) & (0U - static_cast<std::uint32_t>(first)));
}

// of the bits of 0 to 448
inline std::uint32_t magnitude_to_e4m3(std::uint32_t bits) {
    const std::uint32_t normal = ((bits + 0x7FFFFU + ((bits >> 20) & 1U)) >> 20) - (120U << 3);
    // below 2^-6 codes are steps of 2^-9: a sum with 2^23 rounds them to the nearest, of two the even one
    const std::uint32_t small = bits_of(std::bit_cast<float>(bits) * 0x1p9F + 0x1p23F) & 15U;
    return chosen(bits < kLeastNormal, small, normal);
}

inline float e4m3_to_float(std::uint32_t code) { return std::bit_cast<float>(code << 20) * 0x1p120F; }

inline std::uint32_t rounded_to_bf16(std::uint32_t bits) { return (bits + 0x7FFFU + ((bits >> 16) & 1U)) & 0xFFFF0000U; }

// Between neighbours 0, .5, 1, 1.5, 2, 3, 4, 6; the middle goes to the even code. Zero has no sign, as in ModelOpt.
inline std::uint32_t to_e2m1(float value) {
    const std::uint32_t m = bits_of(value) & kMagnitude;
    const std::uint32_t code = std::uint32_t(m > bits_of(0.25F)) + std::uint32_t(m >= bits_of(0.75F)) +
                               std::uint32_t(m > bits_of(1.25F)) + std::uint32_t(m >= bits_of(1.75F)) +
                               std::uint32_t(m > bits_of(2.5F)) + std::uint32_t(m >= bits_of(3.5F)) +
                               std::uint32_t(m > bits_of(5.0F));
    return code | chosen(m != 0, (bits_of(value) >> 28) & 8U, 0U);
}

// What an E2M1 code without its sign stands for.
inline float e2m1_to_float(std::uint32_t code) {
    const std::uint32_t bits = (code << 22) + (126U << 23);
    return std::bit_cast<float>(chosen(code > 1, bits, chosen(code == 1, bits_of(0.5F), 0U)));
}

}  // namespace trtnemo::TRTNEMO_KERNELS
