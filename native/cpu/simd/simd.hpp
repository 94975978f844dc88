// The sixteen lanes of the form that this file is compiled for, and functions over them that all forms share.
#pragma once

#include <initializer_list>

#if defined(TRTNEMO_AVX512)
#include "simd_avx512.hpp"
#elif defined(TRTNEMO_AVX2)
#include "simd_avx2.hpp"
#elif defined(TRTNEMO_NEON)
#include "simd_neon.hpp"
#else
#include "simd_portable.hpp"
#endif

namespace trtnemo::TRTNEMO_KERNELS {

inline constexpr std::size_t kLanes = 16;

// e^x by Cephes' polynomial: within two units in the last place from -87 to 88, clamped beyond.
inline Floats exponential(Floats x) {
    x = minimum(maximum(x, broadcast(-87.0F)), broadcast(88.0F));
    const Ints power = round_to_ints(x * broadcast(1.44269504F));
    const Floats n = to_floats(power);
    x = fma(n, broadcast(-0.693359375F), x);
    x = fma(n, broadcast(2.12194440e-4F), x);
    Floats y = broadcast(1.9875691500e-4F);
    for (const float c : {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F}) {
        y = fma(y, x, broadcast(c));
    }
    y = fma(y, x * x, x) + broadcast(1.0F);
    return scale_by_power(y, power);
}
inline Floats sigmoid(Floats x) { return broadcast(1.0F) / (broadcast(1.0F) + exponential(broadcast(0.0F) - x)); }
inline Floats silu(Floats x) { return x * sigmoid(x); }

#if defined(TRTNEMO_AVX512) || defined(TRTNEMO_NEON)  // whose products of bytes are added by the same instruction
inline void keep(Ints&) {}
#endif

#if !defined(TRTNEMO_AVX2)  // which multiplies whole codes, and sums those of several rows at once
// Codes of 16 bits as their high bytes, then their low ones.
inline void store_int16(std::int8_t* p, Ints x) {
    store_int8(p, high_parts(x));
    store_int8(p + kLanes, low_bytes(x));
}
#if !defined(TRTNEMO_AVX512)  // which has registers for the blocks of several tiles
template <std::size_t Tiles>
inline void dot(const Block (&blocks)[Tiles], const std::int8_t* x, std::int32_t start, Ints (&totals)[Tiles]) {
    for (std::size_t j = 0; j < Tiles; ++j) totals[j] = dot(blocks[j], x, start);
}
#endif
#endif

#if !defined(TRTNEMO_AVX512)  // which masks lanes
inline Floats load_partial(const float* p, std::size_t n) {
    float lanes[kLanes] = {};
    __builtin_memcpy(lanes, p, n * sizeof(float));
    return load(lanes);
}
inline void store_partial(float* p, Floats x, std::size_t n) {
    float lanes[kLanes];
    store(lanes, x);
    __builtin_memcpy(p, lanes, n * sizeof(float));
}
#endif

// The lanes from `first` on of a row of `width` values; the last may be fewer than sixteen.
inline Floats load_at(const float* row, std::size_t first, std::size_t width) {
    return first + kLanes <= width ? load(row + first) : load_partial(row + first, width - first);
}
inline void store_at(float* row, std::size_t first, std::size_t width, Floats x) {
    first + kLanes <= width ? store(row + first, x) : store_partial(row + first, x, width - first);
}

}  // namespace trtnemo::TRTNEMO_KERNELS
