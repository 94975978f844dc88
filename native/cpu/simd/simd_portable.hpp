// Sixteen lanes in plain C++: what other architectures get, and what the vector forms are compared with, bit by bit.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace trtnemo::TRTNEMO_KERNELS {

struct Floats {
    float v[16];
};
struct Ints {
    std::int32_t v[16];
};

template <typename Function>
inline Floats each(Function function) {
    Floats result;
    for (int lane = 0; lane < 16; ++lane) result.v[lane] = function(lane);
    return result;
}

template <typename Function>
inline Ints each_int(Function function) {
    Ints result;
    for (int lane = 0; lane < 16; ++lane) result.v[lane] = function(lane);
    return result;
}

inline Floats broadcast(float x) {
    return each([&](int) { return x; });
}
inline Floats load(const float* p) {
    return each([&](int lane) { return p[lane]; });
}
inline void store(float* p, Floats x) { __builtin_memcpy(p, x.v, sizeof x.v); }

inline Floats operator+(const Floats& a, const Floats& b) {
    return each([&](int lane) { return a.v[lane] + b.v[lane]; });
}
inline Floats operator-(const Floats& a, const Floats& b) {
    return each([&](int lane) { return a.v[lane] - b.v[lane]; });
}
inline Floats operator*(const Floats& a, const Floats& b) {
    return each([&](int lane) { return a.v[lane] * b.v[lane]; });
}
inline Floats operator/(const Floats& a, const Floats& b) {
    return each([&](int lane) { return a.v[lane] / b.v[lane]; });
}
// One rounding, as the vector forms have it: a call where the machine has no such instruction.
inline Floats fma(const Floats& a, const Floats& b, const Floats& c) {
    return each([&](int lane) { return __builtin_fmaf(a.v[lane], b.v[lane], c.v[lane]); });
}
inline Floats maximum(const Floats& a, const Floats& b) {
    return each([&](int lane) { return a.v[lane] > b.v[lane] ? a.v[lane] : b.v[lane]; });
}
inline Floats minimum(const Floats& a, const Floats& b) {
    return each([&](int lane) { return a.v[lane] < b.v[lane] ? a.v[lane] : b.v[lane]; });
}
inline Floats magnitude(const Floats& a) {
    return each([&](int lane) { return __builtin_fabsf(a.v[lane]); });
}

inline float from_bits(std::uint32_t bits) {
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}
inline std::uint32_t to_bits(float value) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline float from_half(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000U) << 16, rest = half & 0x7FFFU;
    if (rest >= 0x7C00U) return from_bits(sign | 0x7F800000U | (rest & 0x3FFU) << 13);
    // A half's fields in a float's places, then its bias mended by an exact product; subnormals come out right too.
    return from_bits(sign | to_bits(from_bits(rest << 13) * 0x1p112F));
}
inline std::uint16_t to_half(float value) {
    const std::uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000U, rest = bits & 0x7FFFFFFFU;
    if (rest > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U | (rest >> 13 & 0x3FFU));
    if (rest >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);
    if (rest < 0x38800000U) {  // subnormal: adding one half lets the machine round at the right bit
        return static_cast<std::uint16_t>(sign | (to_bits(from_bits(rest) + 0.5F) - 0x3F000000U));
    }
    const std::uint32_t rounded = rest + 0xFFFU + (rest >> 13 & 1U);
    return static_cast<std::uint16_t>(sign | ((rounded >> 13) - (112U << 10)));
}

inline Floats load_bfloat16(const std::uint16_t* p) {
    return each([&](int lane) { return from_bits(static_cast<std::uint32_t>(p[lane]) << 16); });
}
inline Floats load_half(const std::uint16_t* p) {
    return each([&](int lane) { return from_half(p[lane]); });
}
inline void store_half(std::uint16_t* p, const Floats& x) {
    for (int lane = 0; lane < 16; ++lane) p[lane] = to_half(x.v[lane]);
}
// E4M3 codes times 2^-8: exponent and mantissa of a code are those of a half float whose bias is larger by 8.
inline Floats load_e4m3(const std::uint8_t* p) {
    return each([&](int lane) {
        return from_half(static_cast<std::uint16_t>((p[lane] & 0x80U) << 8 | (p[lane] & 0x7FU) << 7));
    });
}
inline Floats load_block_scale(const std::uint8_t* p) {
    return each([&](int lane) { return from_half(static_cast<std::uint16_t>(p[lane] << 7)); });
}

inline Floats to_floats(const Ints& x) {
    return each([&](int lane) { return static_cast<float>(x.v[lane]); });
}
inline Ints round_to_ints(const Floats& x) {
    return each_int([&](int lane) { return static_cast<std::int32_t>(__builtin_rintf(x.v[lane])); });
}
inline void store_int8(std::int8_t* p, const Ints& x) {
    for (int lane = 0; lane < 16; ++lane) {
        const std::int32_t value = x.v[lane];
        p[lane] = static_cast<std::int8_t>(value > 127 ? 127 : value < -128 ? -128 : value);
    }
}
// the low bytes of whole numbers, signed, and what is left in units of 256
inline Ints low_bytes(const Ints& x) {
    return each_int([&](int lane) { return std::int32_t{static_cast<std::int8_t>(x.v[lane] & 0xFF)}; });
}
inline Ints high_parts(const Ints& x) {
    const Ints low = low_bytes(x);
    return each_int([&](int lane) { return (x.v[lane] - low.v[lane]) / 256; });
}
// x times 2^n, for n that keeps the result normal
inline Floats scale_by_power(const Floats& x, const Ints& n) {
    return each([&](int lane) { return from_bits(to_bits(x.v[lane]) + (static_cast<std::uint32_t>(n.v[lane]) << 23)); });
}

inline std::int32_t signed_bits(std::uint32_t x) { return static_cast<std::int32_t>(x); }
inline std::uint32_t unsigned_bits(std::int32_t x) { return static_cast<std::uint32_t>(x); }
inline Ints broadcast_int(std::uint32_t x) {
    return each_int([&](int) { return signed_bits(x); });
}
inline Ints lane_numbers() {
    return each_int([](int lane) { return lane; });
}
inline Ints operator+(const Ints& a, const Ints& b) {
    return each_int([&](int lane) { return signed_bits(unsigned_bits(a.v[lane]) + unsigned_bits(b.v[lane])); });
}
inline Ints operator&(const Ints& a, const Ints& b) {
    return each_int([&](int lane) { return a.v[lane] & b.v[lane]; });
}
inline Ints operator^(const Ints& a, const Ints& b) {
    return each_int([&](int lane) { return a.v[lane] ^ b.v[lane]; });
}
inline Ints multiply_low(const Ints& a, const Ints& b) {
    return each_int([&](int lane) { return signed_bits(unsigned_bits(a.v[lane]) * unsigned_bits(b.v[lane])); });
}
inline Ints multiply_high(const Ints& a, const Ints& b) {
    return each_int([&](int lane) {
        const std::uint64_t product = std::uint64_t{unsigned_bits(a.v[lane])} * unsigned_bits(b.v[lane]);
        return signed_bits(static_cast<std::uint32_t>(product >> 32));
    });
}
inline Ints bits_of(const Floats& x) {
    return each_int([&](int lane) { return signed_bits(to_bits(x.v[lane])); });
}
inline Floats floats_of(const Ints& x) {
    return each([&](int lane) { return from_bits(unsigned_bits(x.v[lane])); });
}
inline Floats choose_less(const Floats& a, const Floats& b, const Floats& then, const Floats& otherwise) {
    return each([&](int lane) { return a.v[lane] < b.v[lane] ? then.v[lane] : otherwise.v[lane]; });
}

// Reductions halve the lanes: i with i+8, then +4, +2, +1, as every form does.
inline float sum(Floats x) {
    for (int half = 8; half > 0; half /= 2) {
        for (int lane = 0; lane < half; ++lane) x.v[lane] = x.v[lane] + x.v[lane + half];
    }
    return x.v[0];
}
inline float largest(const Floats& x) {
    float result = x.v[0];
    for (int lane = 1; lane < 16; ++lane) result = x.v[lane] > result ? x.v[lane] : result;
    return result;
}
inline std::int32_t sum(const Ints& x) {
    std::int32_t result = 0;
    for (int lane = 0; lane < 16; ++lane) result += x.v[lane];
    return result;
}

// One block of 16 columns of 16 rows, E2M1 codes as twice their value.
struct Block {
    std::int8_t columns[16][16];
};
inline Block unpack_block(const std::uint8_t* p) {
    constexpr std::int8_t kValues[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    Block block;
    for (int column = 0; column < 16; ++column) {
        for (int row = 0; row < 16; ++row) {
            const std::uint8_t byte = p[64 * (column / 8) + 4 * row + column % 4];
            block.columns[column][row] = kValues[column / 4 % 2 ? byte >> 4 : byte & 15];
        }
    }
    return block;
}
// The vector forms add 12 to every code and start from -12 times the sum of x; here neither is needed.
inline Ints dot(const Block& block, const std::int8_t* x, std::int32_t) {
    Ints total{};
    for (int column = 0; column < 16; ++column) {
        for (int row = 0; row < 16; ++row) total.v[row] += block.columns[column][row] * x[column];
    }
    return total;
}
// Nothing that makes x is joined with anything else.
inline void keep(Ints& x) { asm("" : "+m"(x)); }
// total + four products of bytes a lane, those of a unsigned
inline Ints add_byte_products(const Ints& total, const Ints& a, const Ints& b) {
    return each_int([&](int lane) {
        std::int32_t sum = total.v[lane];
        for (int shift = 0; shift < 32; shift += 8) {
            sum += (a.v[lane] >> shift & 0xFF) * std::int32_t{static_cast<std::int8_t>(b.v[lane] >> shift & 0xFF)};
        }
        return sum;
    });
}
inline Ints times_256_plus(const Ints& a, const Ints& b) {
    return each_int([&](int lane) { return a.v[lane] * 256 + b.v[lane]; });
}

}  // namespace trtnemo::TRTNEMO_KERNELS
