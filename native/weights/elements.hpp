// Elements of a plain tensor as float32: BF16 and F16 by their bits, F32 as they are.
#pragma once

#include <bit>
#include <cstdint>

namespace trtnemo::weights {

struct Bf16 {
    using Bits = std::uint16_t;
    static float widen(Bits bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};

struct F32 {
    using Bits = float;
    static float widen(Bits value) { return value; }
};

struct F16 {
    using Bits = std::uint16_t;
    // the exponent is moved by a product, which is exact for normal and subnormal numbers; 31 stays no number
    static float widen(Bits bits) {
        const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
        const std::uint32_t magnitude = static_cast<std::uint32_t>(bits & 0x7FFFU) << 13;
        const float moved = std::bit_cast<float>(magnitude) * 0x1p112F;
        const std::uint32_t special = (bits & 0x7C00U) == 0x7C00U ? 0x7F800000U : 0U;
        return std::bit_cast<float>(std::bit_cast<std::uint32_t>(moved) | special | sign);
    }
};

}  // namespace trtnemo::weights
