// Products of registers and nothing else: the most that this form can make. Every loop over the chains is unrolled, or
// they would lie in memory, and no two begin alike, or they would be one.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

// Sums that do not wait for each other: enough to keep a machine busy, few enough for its registers.
#if defined(TRTNEMO_AVX2)
inline constexpr std::size_t kChains = 5;
#else
inline constexpr std::size_t kChains = 12;
#endif

// Sixteen lanes of four byte products a chain; the operands are read anew each round and kept for each chain, or a
// compiler would add once, or multiply once.
inline double multiply_bytes(std::size_t rounds) {
    constexpr std::int32_t kOnes[kLanes] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    float operands[kLanes];
    __builtin_memcpy(operands, kOnes, sizeof(operands));
    Ints total[kChains];
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kChains; ++i) total[i] = broadcast_int(static_cast<std::uint32_t>(i));
    for (std::size_t round = 0; round < rounds; ++round) {
        asm volatile("" : : "r"(operands) : "memory");
        Ints x = bits_of(load(operands));
#pragma GCC unroll 12
        for (std::size_t i = 0; i < kChains; ++i) {
            keep(x);
            keep(total[i]);
            total[i] = add_byte_products(total[i], x, x);
            keep(total[i]);
        }
    }
    Ints sums = broadcast_int(0);
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kChains; ++i) sums = sums + total[i];
    return sum(sums) ? static_cast<double>(rounds * kChains * kLanes * 4) : 0.0;
}

inline double multiply_floats(std::size_t rounds) {
    float operands[kLanes] = {1.0F};
    Floats total[kChains];
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kChains; ++i) total[i] = broadcast(static_cast<float>(i));
    for (std::size_t round = 0; round < rounds; ++round) {
        asm volatile("" : : "r"(operands) : "memory");
        const Floats x = load(operands);
#pragma GCC unroll 12
        for (std::size_t i = 0; i < kChains; ++i) total[i] = fma(x, x, total[i]);
    }
    Floats sums = broadcast(0.0F);
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kChains; ++i) sums = sums + total[i];
    return sum(sums) > 0.0F ? static_cast<double>(rounds * kChains * kLanes) : 0.0;
}

}  // namespace trtnemo::TRTNEMO_KERNELS
