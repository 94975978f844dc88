// Sixteen lanes in two registers: AVX2 with FMA and F16C.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace trtnemo::TRTNEMO_KERNELS {

struct Floats {
    __m256 low, high;
};
struct Ints {
    __m256i low, high;
};

inline Floats broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Floats load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, Floats x) {
    _mm256_storeu_ps(p, x.low);
    _mm256_storeu_ps(p + 8, x.high);
}

inline Floats operator+(Floats a, Floats b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
inline Floats operator-(Floats a, Floats b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
inline Floats operator*(Floats a, Floats b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
inline Floats operator/(Floats a, Floats b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
inline Floats fma(Floats a, Floats b, Floats c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Floats maximum(Floats a, Floats b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
inline Floats minimum(Floats a, Floats b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
inline Floats magnitude(Floats a) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}

inline __m128i load_8(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
inline __m128i load_16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

inline Floats load_bfloat16(const std::uint16_t* p) {
    const __m256i low = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(p)), 16);
    const __m256i high = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(p + 8)), 16);
    return {_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)};
}
inline Floats load_half(const std::uint16_t* p) {
    return {_mm256_cvtph_ps(load_16(p)), _mm256_cvtph_ps(load_16(p + 8))};
}
inline void store_half(std::uint16_t* p, Floats x) {
    constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x.low, kNearest));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(x.high, kNearest));
}
// E4M3 codes times 2^-8: exponent and mantissa of a code are those of a half float whose bias is larger by 8.
inline Floats load_e4m3(const std::uint8_t* p) {
    const __m256i wide = _mm256_cvtepu8_epi16(load_16(p));
    const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(wide, _mm256_set1_epi16(0x80)), 8);
    const __m256i rest = _mm256_slli_epi16(_mm256_and_si256(wide, _mm256_set1_epi16(0x7F)), 7);
    const __m256i half = _mm256_or_si256(sign, rest);
    return {_mm256_cvtph_ps(_mm256_castsi256_si128(half)), _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1))};
}
inline Floats load_block_scale(const std::uint8_t* p) {
    const __m256i half = _mm256_slli_epi16(_mm256_cvtepu8_epi16(load_16(p)), 7);
    return {_mm256_cvtph_ps(_mm256_castsi256_si128(half)), _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1))};
}

inline Floats to_floats(Ints x) { return {_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)}; }
inline Ints round_to_ints(Floats x) { return {_mm256_cvtps_epi32(x.low), _mm256_cvtps_epi32(x.high)}; }
inline __m256i narrow(Ints x) {
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(x.low, x.high), 0b11011000);
}
inline void store_int8(std::int8_t* p, Ints x) {
    const __m256i words = narrow(x);
    const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}
// x times 2^n, for n that keeps the result normal
inline Floats scale_by_power(Floats x, Ints n) {
    const __m256i low = _mm256_add_epi32(_mm256_castps_si256(x.low), _mm256_slli_epi32(n.low, 23));
    const __m256i high = _mm256_add_epi32(_mm256_castps_si256(x.high), _mm256_slli_epi32(n.high, 23));
    return {_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)};
}

inline Ints broadcast_int(std::uint32_t x) {
    const __m256i all = _mm256_set1_epi32(static_cast<int>(x));
    return {all, all};
}
inline Ints lane_numbers() {
    return {_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)};
}
inline Ints operator+(Ints a, Ints b) { return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)}; }
inline Ints operator&(Ints a, Ints b) { return {_mm256_and_si256(a.low, b.low), _mm256_and_si256(a.high, b.high)}; }
inline Ints operator^(Ints a, Ints b) { return {_mm256_xor_si256(a.low, b.low), _mm256_xor_si256(a.high, b.high)}; }
inline Ints multiply_low(Ints a, Ints b) {
    return {_mm256_mullo_epi32(a.low, b.low), _mm256_mullo_epi32(a.high, b.high)};
}
inline __m256i multiply_high(__m256i a, __m256i b) {
    const __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(a, b), 32);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
    return _mm256_blend_epi32(even, odd, 0xAA);
}
inline Ints multiply_high(Ints a, Ints b) { return {multiply_high(a.low, b.low), multiply_high(a.high, b.high)}; }
// Nothing that makes x is joined with anything else, or moved behind this.
inline void keep(Ints& x) { asm("" : "+x"(x.low), "+x"(x.high)); }
inline Ints bits_of(Floats x) { return {_mm256_castps_si256(x.low), _mm256_castps_si256(x.high)}; }
inline Floats floats_of(Ints x) { return {_mm256_castsi256_ps(x.low), _mm256_castsi256_ps(x.high)}; }
inline Floats choose_less(Floats a, Floats b, Floats then, Floats otherwise) {
    return {_mm256_blendv_ps(otherwise.low, then.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
            _mm256_blendv_ps(otherwise.high, then.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}

// Reductions halve the lanes: i with i+8, then +4, +2, +1, as every form does.
inline float sum(Floats x) {
    const __m256 eight = _mm256_add_ps(x.low, x.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline float largest(Floats x) {
    const __m256 eight = _mm256_max_ps(x.low, x.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline std::int32_t sum(Ints x) {
    const __m256i eight = _mm256_add_epi32(x.low, x.high);
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0b1110));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

// One block of 16 columns of 16 rows, E2M1 codes as twice their value plus 12: four columns a 32-bit lane.
struct Block {
    __m256i low[4], high[4];
};
[[gnu::always_inline]] inline Block unpack_block(const std::uint8_t* p) {
    const __m256i values = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
    const __m256i nibble = _mm256_set1_epi8(15);
    Block block;
    for (int pair = 0; pair < 2; ++pair) {
        const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 64 * pair));
        const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 64 * pair + 32));
        block.low[2 * pair] = _mm256_shuffle_epi8(values, _mm256_and_si256(low, nibble));
        block.low[2 * pair + 1] = _mm256_shuffle_epi8(values, _mm256_and_si256(_mm256_srli_epi16(low, 4), nibble));
        block.high[2 * pair] = _mm256_shuffle_epi8(values, _mm256_and_si256(high, nibble));
        block.high[2 * pair + 1] = _mm256_shuffle_epi8(values, _mm256_and_si256(_mm256_srli_epi16(high, 4), nibble));
    }
    return block;
}
// bytes as words: every other one
inline Ints even_bytes(Ints x) {
    const __m256i first = _mm256_set1_epi16(0xFF);
    return {_mm256_and_si256(x.low, first), _mm256_and_si256(x.high, first)};
}
inline Ints odd_bytes(Ints x) { return {_mm256_srli_epi16(x.low, 8), _mm256_srli_epi16(x.high, 8)}; }
// of each four columns the first and third before the second and fourth, as even and odd bytes of a block's lanes
inline void store_int16(std::int8_t* p, Ints x) {
    const __m256i order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_shuffle_epi8(narrow(x), order));
}
// total + products of bytes in pairs, those of a unsigned, in 16 bits
inline __m256i add_byte_products(__m256i total, __m256i a, __m256i b) {
    return _mm256_add_epi16(total, _mm256_maddubs_epi16(a, b));
}
inline Ints add_byte_products(Ints total, Ints a, Ints b) {
    return {add_byte_products(total.low, a.low, b.low), add_byte_products(total.high, a.high, b.high)};
}
inline Ints sums_of_words(Ints a) {
    const __m256i ones = _mm256_set1_epi16(1);
    return {_mm256_madd_epi16(a.low, ones), _mm256_madd_epi16(a.high, ones)};
}
// total + products of words in pairs
inline Ints add_word_products(Ints total, Ints a, Ints b) {
    return {_mm256_add_epi32(total.low, _mm256_madd_epi16(a.low, b.low)),
            _mm256_add_epi32(total.high, _mm256_madd_epi16(a.high, b.high))};
}

}  // namespace trtnemo::TRTNEMO_KERNELS
