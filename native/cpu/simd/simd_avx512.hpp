// Sixteen lanes in one register: AVX-512 (F, BW, DQ, VL) with VNNI.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace trtnemo::TRTNEMO_KERNELS {

struct Floats {
    __m512 v;
};
struct Ints {
    __m512i v;
};

inline Floats broadcast(float x) { return {_mm512_set1_ps(x)}; }
inline Floats load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, Floats x) { _mm512_storeu_ps(p, x.v); }
inline __mmask16 first_lanes(std::size_t n) { return static_cast<__mmask16>((1U << n) - 1U); }
inline Floats load_partial(const float* p, std::size_t n) { return {_mm512_maskz_loadu_ps(first_lanes(n), p)}; }
inline void store_partial(float* p, Floats x, std::size_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), x.v); }

inline Floats operator+(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Floats operator-(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Floats operator*(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Floats operator/(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Floats fma(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Floats maximum(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Floats minimum(Floats a, Floats b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Floats magnitude(Floats a) { return {_mm512_abs_ps(a.v)}; }

inline Floats load_bfloat16(const std::uint16_t* p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
inline Floats load_half(const std::uint16_t* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline void store_half(std::uint16_t* p, Floats x) {
    const __m256i half = _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), half);
}
// E4M3 codes times 2^-8: exponent and mantissa of a code are those of a half float whose bias is larger by 8.
inline Floats load_e4m3(const std::uint8_t* p) {
    const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(wide, _mm256_set1_epi16(0x80)), 8);
    const __m256i rest = _mm256_slli_epi16(_mm256_and_si256(wide, _mm256_set1_epi16(0x7F)), 7);
    return {_mm512_cvtph_ps(_mm256_or_si256(sign, rest))};
}
inline Floats load_block_scale(const std::uint8_t* p) {
    const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return {_mm512_cvtph_ps(_mm256_slli_epi16(wide, 7))};
}

inline Floats to_floats(Ints x) { return {_mm512_cvtepi32_ps(x.v)}; }
inline Ints round_to_ints(Floats x) { return {_mm512_cvtps_epi32(x.v)}; }
inline void store_int8(std::int8_t* p, Ints x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(x.v));
}
// the low bytes of whole numbers, signed, and what is left in units of 256
inline Ints low_bytes(Ints x) { return {_mm512_srai_epi32(_mm512_slli_epi32(x.v, 24), 24)}; }
inline Ints high_parts(Ints x) { return {_mm512_srai_epi32(_mm512_sub_epi32(x.v, low_bytes(x).v), 8)}; }
// x times 2^n, for n that keeps the result normal
inline Floats scale_by_power(Floats x, Ints n) {
    return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x.v), _mm512_slli_epi32(n.v, 23)))};
}

inline Ints broadcast_int(std::uint32_t x) { return {_mm512_set1_epi32(static_cast<int>(x))}; }
inline Ints lane_numbers() { return {_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)}; }
inline Ints operator+(Ints a, Ints b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline Ints operator&(Ints a, Ints b) { return {_mm512_and_si512(a.v, b.v)}; }
inline Ints operator^(Ints a, Ints b) { return {_mm512_xor_si512(a.v, b.v)}; }
inline Ints multiply_low(Ints a, Ints b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
inline Ints multiply_high(Ints a, Ints b) {
    const __m512i even = _mm512_srli_epi64(_mm512_mul_epu32(a.v, b.v), 32);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), _mm512_srli_epi64(b.v, 32));
    return {_mm512_mask_blend_epi32(0xAAAA, even, odd)};
}
inline Ints bits_of(Floats x) { return {_mm512_castps_si512(x.v)}; }
inline Floats floats_of(Ints x) { return {_mm512_castsi512_ps(x.v)}; }
inline Floats choose_less(Floats a, Floats b, Floats then, Floats otherwise) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), otherwise.v, then.v)};
}

// Both reductions halve the lanes: i with i+8, then +4, +2, +1, as every form does.
inline float sum(Floats x) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline float largest(Floats x) { return _mm512_reduce_max_ps(x.v); }
inline std::int32_t sum(Ints x) { return _mm512_reduce_add_epi32(x.v); }

// One block of 16 columns of 16 rows, E2M1 codes as twice their value plus 12: four columns a 32-bit lane.
struct Block {
    __m512i quads[4];
};
inline Block unpack_block(const std::uint8_t* p) {
    const __m512i values = _mm512_broadcast_i32x4(
        _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i first = _mm512_loadu_si512(p), second = _mm512_loadu_si512(p + 64);
    return {{_mm512_shuffle_epi8(values, _mm512_and_si512(first, nibble)),
             _mm512_shuffle_epi8(values, _mm512_and_si512(_mm512_srli_epi16(first, 4), nibble)),
             _mm512_shuffle_epi8(values, _mm512_and_si512(second, nibble)),
             _mm512_shuffle_epi8(values, _mm512_and_si512(_mm512_srli_epi16(second, 4), nibble))}};
}
// start + sum of 16 products a lane, of some tiles' blocks; x are the block's 16 activations. Each four of them are read
// once for all tiles: reading, not multiplying, is what a newer CPU waits for.
template <std::size_t Tiles>
inline void dot(const Block (&blocks)[Tiles], const std::int8_t* x, std::int32_t start, Ints (&totals)[Tiles]) {
#pragma GCC unroll 2
    for (std::size_t j = 0; j < Tiles; ++j) totals[j].v = _mm512_set1_epi32(start);
#pragma GCC unroll 4
    for (int quad = 0; quad < 4; ++quad) {
        std::int32_t four;
        __builtin_memcpy(&four, x + 4 * quad, 4);
        const __m512i columns = _mm512_set1_epi32(four);
#pragma GCC unroll 2
        for (std::size_t j = 0; j < Tiles; ++j) {
            totals[j].v = _mm512_dpbusd_epi32(totals[j].v, blocks[j].quads[quad], columns);
        }
    }
}
// total + four products of bytes a lane, those of a unsigned
inline Ints add_byte_products(Ints total, Ints a, Ints b) { return {_mm512_dpbusd_epi32(total.v, a.v, b.v)}; }
inline Ints times_256_plus(Ints a, Ints b) { return {_mm512_add_epi32(_mm512_slli_epi32(a.v, 8), b.v)}; }

}  // namespace trtnemo::TRTNEMO_KERNELS
