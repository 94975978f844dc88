// Sixteen lanes in four registers: Armv8.2 with the dot product (Grace, Graviton 2 and later, Apple's chips), and with
// products of 8-bit matrices where TRTNEMO_I8MM is defined (Grace, Graviton 3, Apple's M2).
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace trtnemo::TRTNEMO_KERNELS {

struct Floats {
    float32x4_t v[4];
};
struct Ints {
    int32x4_t v[4];
};

template <typename Function>
inline Floats each(Function function) {
    return {{function(0), function(1), function(2), function(3)}};
}
template <typename Function>
inline Ints each_int(Function function) {
    return {{function(0), function(1), function(2), function(3)}};
}

inline Floats broadcast(float x) {
    return each([&](int) { return vdupq_n_f32(x); });
}
inline Floats load(const float* p) {
    return each([&](int i) { return vld1q_f32(p + 4 * i); });
}
inline void store(float* p, Floats x) {
    for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, x.v[i]);
}

inline Floats operator+(Floats a, Floats b) {
    return each([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}
inline Floats operator-(Floats a, Floats b) {
    return each([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
}
inline Floats operator*(Floats a, Floats b) {
    return each([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
inline Floats operator/(Floats a, Floats b) {
    return each([&](int i) { return vdivq_f32(a.v[i], b.v[i]); });
}
inline Floats fma(Floats a, Floats b, Floats c) {
    return each([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
// By comparison, not by vmaxq: where one is no number, the other forms take the second.
inline float32x4_t larger(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
inline Floats maximum(Floats a, Floats b) {
    return each([&](int i) { return larger(a.v[i], b.v[i]); });
}
inline Floats minimum(Floats a, Floats b) {
    return each([&](int i) { return vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
}
inline Floats magnitude(Floats a) {
    return each([&](int i) { return vabsq_f32(a.v[i]); });
}

inline Floats load_bfloat16(const std::uint16_t* p) {
    return each([&](int i) { return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(p + 4 * i)), 16)); });
}
inline float32x4_t widen_half(uint16x4_t half) { return vcvt_f32_f16(vreinterpret_f16_u16(half)); }
inline Floats load_half(const std::uint16_t* p) {
    return each([&](int i) { return widen_half(vld1_u16(p + 4 * i)); });
}
inline void store_half(std::uint16_t* p, Floats x) {
    for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.v[i])));
}
inline Floats widen_halves(uint16x8_t low, uint16x8_t high) {
    return {{widen_half(vget_low_u16(low)), widen_half(vget_high_u16(low)), widen_half(vget_low_u16(high)),
             widen_half(vget_high_u16(high))}};
}
// E4M3 codes times 2^-8: exponent and mantissa of a code are those of a half float whose bias is larger by 8.
inline uint16x8_t half_of_e4m3(uint8x8_t codes) {
    const uint16x8_t wide = vmovl_u8(codes);
    return vorrq_u16(vshlq_n_u16(vandq_u16(wide, vdupq_n_u16(0x80)), 8),
                     vshlq_n_u16(vandq_u16(wide, vdupq_n_u16(0x7F)), 7));
}
inline Floats load_e4m3(const std::uint8_t* p) {
    const uint8x16_t codes = vld1q_u8(p);
    return widen_halves(half_of_e4m3(vget_low_u8(codes)), half_of_e4m3(vget_high_u8(codes)));
}
inline Floats load_block_scale(const std::uint8_t* p) {
    const uint8x16_t codes = vld1q_u8(p);
    return widen_halves(vshll_n_u8(vget_low_u8(codes), 7), vshll_n_u8(vget_high_u8(codes), 7));
}

inline Floats to_floats(Ints x) {
    return each([&](int i) { return vcvtq_f32_s32(x.v[i]); });
}
inline Ints round_to_ints(Floats x) {
    return each_int([&](int i) { return vcvtnq_s32_f32(x.v[i]); });
}
inline void store_int8(std::int8_t* p, Ints x) {
    const int16x8_t low = vcombine_s16(vqmovn_s32(x.v[0]), vqmovn_s32(x.v[1]));
    const int16x8_t high = vcombine_s16(vqmovn_s32(x.v[2]), vqmovn_s32(x.v[3]));
    vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
}
// the low bytes of whole numbers, signed, and what is left in units of 256
inline Ints low_bytes(Ints x) {
    return each_int([&](int i) { return vshrq_n_s32(vshlq_n_s32(x.v[i], 24), 24); });
}
inline Ints high_parts(Ints x) {
    const Ints low = low_bytes(x);
    return each_int([&](int i) { return vshrq_n_s32(vsubq_s32(x.v[i], low.v[i]), 8); });
}
// x times 2^n, for n that keeps the result normal
inline Floats scale_by_power(Floats x, Ints n) {
    return each([&](int i) {
        return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x.v[i]), vshlq_n_s32(n.v[i], 23)));
    });
}

inline Ints broadcast_int(std::uint32_t x) {
    return each_int([&](int) { return vreinterpretq_s32_u32(vdupq_n_u32(x)); });
}
inline Ints lane_numbers() {
    constexpr std::int32_t kFirst[4] = {0, 1, 2, 3};
    return each_int([&](int i) { return vaddq_s32(vld1q_s32(kFirst), vdupq_n_s32(4 * i)); });
}
inline Ints operator+(Ints a, Ints b) {
    return each_int([&](int i) { return vaddq_s32(a.v[i], b.v[i]); });
}
inline Ints operator&(Ints a, Ints b) {
    return each_int([&](int i) { return vandq_s32(a.v[i], b.v[i]); });
}
inline Ints operator^(Ints a, Ints b) {
    return each_int([&](int i) { return veorq_s32(a.v[i], b.v[i]); });
}
inline Ints multiply_low(Ints a, Ints b) {
    return each_int([&](int i) { return vmulq_s32(a.v[i], b.v[i]); });
}
inline int32x4_t multiply_high(uint32x4_t a, uint32x4_t b) {
    const uint32x4_t low = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a), vget_low_u32(b)));
    const uint32x4_t high = vreinterpretq_u32_u64(vmull_high_u32(a, b));
    return vreinterpretq_s32_u32(vuzp2q_u32(low, high));
}
inline Ints multiply_high(Ints a, Ints b) {
    return each_int([&](int i) {
        return multiply_high(vreinterpretq_u32_s32(a.v[i]), vreinterpretq_u32_s32(b.v[i]));
    });
}
inline Ints bits_of(Floats x) {
    return each_int([&](int i) { return vreinterpretq_s32_f32(x.v[i]); });
}
inline Floats floats_of(Ints x) {
    return each([&](int i) { return vreinterpretq_f32_s32(x.v[i]); });
}
inline Floats choose_less(Floats a, Floats b, Floats then, Floats otherwise) {
    return each([&](int i) { return vbslq_f32(vcltq_f32(a.v[i], b.v[i]), then.v[i], otherwise.v[i]); });
}

// Reductions halve the lanes: i with i+8, then +4, +2, +1, as every form does.
inline float sum(Floats x) {
    const float32x4_t four = vaddq_f32(vaddq_f32(x.v[0], x.v[2]), vaddq_f32(x.v[1], x.v[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
inline float largest(Floats x) {
    float lanes[4];
    vst1q_f32(lanes, larger(larger(x.v[3], x.v[2]), larger(x.v[1], x.v[0])));
    float result = lanes[0];
    for (int lane = 1; lane < 4; ++lane) result = lanes[lane] > result ? lanes[lane] : result;
    return result;
}
inline std::int32_t sum(Ints x) {
    return vaddvq_s32(vaddq_s32(vaddq_s32(x.v[0], x.v[1]), vaddq_s32(x.v[2], x.v[3])));
}

// One block of 16 columns of 16 rows, E2M1 codes as twice their value: four columns a 32-bit lane, four rows a register.
struct Block {
    int8x16_t quads[4][4];
};
inline Block unpack_block(const std::uint8_t* p) {
    constexpr std::int8_t kValues[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    const int8x16_t values = vld1q_s8(kValues);
    Block block;
    for (int pair = 0; pair < 2; ++pair) {
        for (int rows = 0; rows < 4; ++rows) {
            const uint8x16_t codes = vld1q_u8(p + 64 * pair + 16 * rows);
            block.quads[2 * pair][rows] = vqtbl1q_s8(values, vandq_u8(codes, vdupq_n_u8(15)));
            block.quads[2 * pair + 1][rows] = vqtbl1q_s8(values, vshrq_n_u8(codes, 4));
        }
    }
    return block;
}
// Signed codes need no start, which makes up for what the unsigned ones of x86 add.
inline Ints dot(const Block& block, const std::int8_t* x, std::int32_t) {
    Ints total{};
    for (int quad = 0; quad < 4; ++quad) {
        std::int32_t four;
        __builtin_memcpy(&four, x + 4 * quad, 4);
        const int8x16_t inputs = vreinterpretq_s8_s32(vdupq_n_s32(four));
        for (int rows = 0; rows < 4; ++rows) total.v[rows] = vdotq_s32(total.v[rows], block.quads[quad][rows], inputs);
    }
    return total;
}
#if defined(TRTNEMO_I8MM)
struct IntPair {
    Ints first, second;
};
// Sums of 16 products a lane of two rows of activations: matrices of two rows of weights and two of activations, eight
// columns each, which is what one instruction multiplies.
inline IntPair dot_pair(const Block& block, const std::int8_t* x, const std::int8_t* y) {
    IntPair sums;
    const int8x16_t left = vcombine_s8(vld1_s8(x), vld1_s8(y)), right = vcombine_s8(vld1_s8(x + 8), vld1_s8(y + 8));
    for (int rows = 0; rows < 4; ++rows) {
        const auto quad = [&](int number) { return vreinterpretq_s32_s8(block.quads[number][rows]); };
        const auto upper = [&](int number) { return vreinterpretq_s8_s32(vzip1q_s32(quad(number), quad(number + 1))); };
        const auto lower = [&](int number) { return vreinterpretq_s8_s32(vzip2q_s32(quad(number), quad(number + 1))); };
        const int32x4_t zero = vdupq_n_s32(0);
        const int32x4_t first = vmmlaq_s32(vmmlaq_s32(zero, upper(0), left), upper(2), right);
        const int32x4_t second = vmmlaq_s32(vmmlaq_s32(zero, lower(0), left), lower(2), right);
        sums.first.v[rows] = vuzp1q_s32(first, second);
        sums.second.v[rows] = vuzp2q_s32(first, second);
    }
    return sums;
}
#endif
// total + four products of bytes a lane
inline Ints add_byte_products(Ints total, Ints a, Ints b) {
    return each_int([&](int i) {
        return vdotq_s32(total.v[i], vreinterpretq_s8_s32(a.v[i]), vreinterpretq_s8_s32(b.v[i]));
    });
}
inline Ints times_256_plus(Ints a, Ints b) {
    return each_int([&](int i) { return vaddq_s32(vshlq_n_s32(a.v[i], 8), b.v[i]); });
}

}  // namespace trtnemo::TRTNEMO_KERNELS
