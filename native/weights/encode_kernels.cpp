// Compiled once for each form; TRTNEMO_KERNELS names its namespace. All forms give the same bits.
#include "encode.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "elements.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

using namespace weights;

namespace {

constexpr float kE2m1Max = 6.0F;

constexpr std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

// Magnitudes are compared by their bits, which are in their order: compilers turn float comparisons into vectors for some
// machines alone.
constexpr std::uint32_t kMagnitude = 0x7FFFFFFFU;
constexpr std::uint32_t kE4m3Max = bits_of(448.0F), kLeastNormal = bits_of(0x1p-6F), kLeastScale = bits_of(0x1p-9F);

// One of two, without a branch, which compilers do not turn into vectors.
std::uint32_t chosen(bool first, std::uint32_t one, std::uint32_t other) {
    return other ^ ((one ^ other) & (0U - static_cast<std::uint32_t>(first)));
}

// of the bits of 0 to 448
std::uint32_t magnitude_to_e4m3(std::uint32_t bits) {
    const std::uint32_t normal = ((bits + 0x7FFFFU + ((bits >> 20) & 1U)) >> 20) - (120U << 3);
    // below 2^-6 codes are steps of 2^-9: a sum with 2^23 rounds them to the nearest, of two the even one
    const std::uint32_t small = bits_of(std::bit_cast<float>(bits) * 0x1p9F + 0x1p23F) & 15U;
    return chosen(bits < kLeastNormal, small, normal);
}

float e4m3_to_float(std::uint32_t code) { return std::bit_cast<float>(code << 20) * 0x1p120F; }

std::uint32_t rounded_to_bf16(std::uint32_t bits) { return (bits + 0x7FFFU + ((bits >> 16) & 1U)) & 0xFFFF0000U; }

// Between neighbours 0, .5, 1, 1.5, 2, 3, 4, 6; the middle goes to the even code. Zero has no sign, as in ModelOpt.
std::uint32_t to_e2m1(float value) {
    const std::uint32_t m = bits_of(value) & kMagnitude;
    const std::uint32_t code = std::uint32_t(m > bits_of(0.25F)) + std::uint32_t(m >= bits_of(0.75F)) +
                               std::uint32_t(m > bits_of(1.25F)) + std::uint32_t(m >= bits_of(1.75F)) +
                               std::uint32_t(m > bits_of(2.5F)) + std::uint32_t(m >= bits_of(3.5F)) +
                               std::uint32_t(m > bits_of(5.0F));
    return code | chosen(m != 0, (bits_of(value) >> 28) & 8U, 0U);
}

template <class Element>
float largest(const void* data, std::size_t count) {
    const auto* values = static_cast<const typename Element::Bits*>(data);
    std::uint32_t most = 0;  // infinity and NaN are behind all numbers
    for (std::size_t i = 0; i < count; ++i) {
        most = std::max(most, bits_of(Element::widen(values[i])) & kMagnitude);
    }
    return std::bit_cast<float>(most);
}

template <class Element>
void encode_fp8(const void* data, std::size_t count, float scale, std::uint8_t* codes) {
    const auto* values = static_cast<const typename Element::Bits*>(data);
    for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t quotient = bits_of(Element::widen(values[i]) / scale);
        if constexpr (sizeof(typename Element::Bits) == 2) {
            quotient = rounded_to_bf16(quotient);
        }
        const std::uint32_t code = magnitude_to_e4m3(std::min(quotient & kMagnitude, kE4m3Max));
        codes[i] = static_cast<std::uint8_t>(code | ((quotient >> 24) & 0x80U));
    }
}

constexpr std::size_t kTogether = 64;  // blocks: what lies between the steps of their encoding stays near

// Of at most kTogether blocks, step by step, so that each step is a loop that compilers turn into vectors.
template <class Element>
void encode_blocks(const typename Element::Bits* values, std::size_t blocks, float scale_2, std::uint8_t* packed,
                   std::uint8_t* block_scales) {
    std::uint32_t most[kTogether];
    for (std::size_t block = 0; block < blocks; ++block) {
        most[block] = bits_of(largest<Element>(values + block * kBlock, kBlock));
    }
    const float whole = kE2m1Max * scale_2;
    float scales[kTogether];
    for (std::size_t block = 0; block < blocks; ++block) {
        // a block of zeros has the scale 1
        const float raw = std::bit_cast<float>(most[block]) / whole;
        const std::uint32_t bits = chosen(most[block] == 0, bits_of(1.0F), bits_of(raw));
        const std::uint32_t code = magnitude_to_e4m3(std::min(std::max(bits, kLeastScale), kE4m3Max));
        block_scales[block] = static_cast<std::uint8_t>(code);
        scales[block] = e4m3_to_float(code) * scale_2;
    }
    float quotients[kTogether * kBlock];
    for (std::size_t block = 0; block < blocks; ++block) {
        for (std::size_t i = 0; i < kBlock; ++i) {
            quotients[block * kBlock + i] = Element::widen(values[block * kBlock + i]) / scales[block];
        }
    }
    std::uint8_t nibbles[kTogether * kBlock];
    for (std::size_t i = 0; i < blocks * kBlock; ++i) {
        nibbles[i] = static_cast<std::uint8_t>(to_e2m1(quotients[i]));
    }
    std::uint16_t pairs[kTogether * kBlock / 2];
    std::memcpy(pairs, nibbles, blocks * kBlock);
    for (std::size_t i = 0; i < blocks * kBlock / 2; ++i) {
        packed[i] = static_cast<std::uint8_t>(pairs[i] | (pairs[i] >> 4));  // the first number is the low byte
    }
}

template <class Element>
void encode_nvfp4(const void* data, std::size_t blocks, float scale_2, std::uint8_t* packed,
                  std::uint8_t* block_scales) {
    const auto* values = static_cast<const typename Element::Bits*>(data);
    for (std::size_t block = 0; block < blocks; block += kTogether) {
        encode_blocks<Element>(values + block * kBlock, std::min(kTogether, blocks - block), scale_2,
                               packed + block * (kBlock / 2), block_scales + block);
    }
}

template <class Element>
constexpr Encoder kEncoder = {.largest = largest<Element>, .fp8 = encode_fp8<Element>, .nvfp4 = encode_nvfp4<Element>};

}  // namespace

extern const Encoders kEncoders = {.bf16 = kEncoder<Bf16>, .f16 = kEncoder<F16>, .f32 = kEncoder<F32>};

}  // namespace trtnemo::TRTNEMO_KERNELS
