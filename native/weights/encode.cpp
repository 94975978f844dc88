#include "encode.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "elements.hpp"

namespace trtnemo::weights {

namespace {

constexpr float kE4m3Max = 448.0F;
constexpr float kE2m1Max = 6.0F;
constexpr float kLeastScale = 0x1p-9F;

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

// of 0 to 448
std::uint32_t magnitude_to_e4m3(float magnitude) {
    const std::uint32_t bits = bits_of(magnitude);
    const std::uint32_t normal = ((bits + 0x7FFFFU + ((bits >> 20) & 1U)) >> 20) - (120U << 3);
    // below 2^-6 codes are steps of 2^-9: a sum with 2^23 rounds them to the nearest, of two the even one
    const std::uint32_t small = bits_of(magnitude * 0x1p9F + 0x1p23F) & 15U;
    return magnitude < 0x1p-6F ? small : normal;
}

float e4m3_to_float(std::uint32_t code) { return std::bit_cast<float>((code & 0x7FU) << 20) * 0x1p120F; }

float rounded_to_bf16(float value) {
    const std::uint32_t bits = bits_of(value);
    return std::bit_cast<float>((bits + 0x7FFFU + ((bits >> 16) & 1U)) & 0xFFFF0000U);
}

// Between neighbours 0, .5, 1, 1.5, 2, 3, 4, 6; the middle goes to the even code.
std::uint32_t to_e2m1(float value) {
    const float m = std::fabs(value);
    const std::uint32_t code = static_cast<std::uint32_t>(m > 0.25F) + static_cast<std::uint32_t>(m >= 0.75F) +
                               static_cast<std::uint32_t>(m > 1.25F) + static_cast<std::uint32_t>(m >= 1.75F) +
                               static_cast<std::uint32_t>(m > 2.5F) + static_cast<std::uint32_t>(m >= 3.5F) +
                               static_cast<std::uint32_t>(m > 5.0F);
    return code | (value < 0.0F ? 8U : 0U);
}

}  // namespace

template <class Element>
float largest(const typename Element::Bits* values, std::size_t count) {
    std::uint32_t most = 0;  // magnitudes are in the order of their bits, infinity and NaN behind all numbers
    for (std::size_t i = 0; i < count; ++i) {
        most = std::max(most, bits_of(Element::widen(values[i])) & 0x7FFFFFFFU);
    }
    return std::bit_cast<float>(most);
}

template <class Element>
void encode_fp8(const typename Element::Bits* values, std::size_t count, float scale, std::uint8_t* codes) {
    for (std::size_t i = 0; i < count; ++i) {
        float quotient = Element::widen(values[i]) / scale;
        if constexpr (sizeof(typename Element::Bits) == 2) {
            quotient = rounded_to_bf16(quotient);
        }
        const std::uint32_t code = magnitude_to_e4m3(std::min(std::fabs(quotient), kE4m3Max));
        codes[i] = static_cast<std::uint8_t>(code | ((bits_of(quotient) >> 24) & 0x80U));
    }
}

template <class Element>
void encode_nvfp4(const typename Element::Bits* values, std::size_t blocks, float scale_2, std::uint8_t* packed,
                  std::uint8_t* block_scales) {
    const float whole = kE2m1Max * scale_2;
    for (std::size_t block = 0; block < blocks; ++block) {
        const auto* in = values + block * kBlock;
        float wide[kBlock];
        float most = 0.0F;
        for (std::size_t i = 0; i < kBlock; ++i) {
            wide[i] = Element::widen(in[i]);
            most = std::max(most, std::fabs(wide[i]));
        }
        const float raw = most == 0.0F ? 1.0F : most / whole;  // a block of zeros has the scale 1
        const std::uint32_t code = magnitude_to_e4m3(std::clamp(raw, kLeastScale, kE4m3Max));
        block_scales[block] = static_cast<std::uint8_t>(code);
        const float scale = e4m3_to_float(code) * scale_2;
        std::uint32_t nibbles[kBlock];
        for (std::size_t i = 0; i < kBlock; ++i) {
            nibbles[i] = to_e2m1(wide[i] / scale);
        }
        for (std::size_t i = 0; i < kBlock / 2; ++i) {
            packed[block * (kBlock / 2) + i] = static_cast<std::uint8_t>(nibbles[2 * i] | (nibbles[2 * i + 1] << 4));
        }
    }
}

#define TRTNEMO_ENCODERS(Element)                                                                               \
    template float largest<Element>(const Element::Bits*, std::size_t);                                         \
    template void encode_fp8<Element>(const Element::Bits*, std::size_t, float, std::uint8_t*);                 \
    template void encode_nvfp4<Element>(const Element::Bits*, std::size_t, float, std::uint8_t*, std::uint8_t*);
TRTNEMO_ENCODERS(Bf16)
TRTNEMO_ENCODERS(F16)
TRTNEMO_ENCODERS(F32)

}  // namespace trtnemo::weights
