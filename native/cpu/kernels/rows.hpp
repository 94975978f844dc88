// Work on single rows: norms, element by element, rounding to whole numbers.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

// Codes up to `limit` of sixteen values, and what one code is worth.
struct Rounded {
    Ints codes;
    float scale;
};
// What is no number, or infinite, makes the whole block so: its codes are 0 and its scale is infinite. Numbers that
// are all so small that their factor might be infinite count as zeros.
inline constexpr float kLeastRounded = 1e-30F;
inline Rounded round_block(Floats x, float limit) {
    const Floats size = magnitude(x), infinity = broadcast(__builtin_inff());
    const float highest = largest(choose_less(size, infinity, size, infinity));
    const float factor = highest > kLeastRounded ? limit / highest : 0.0F;
    const Floats numbers = choose_less(size, infinity, x, broadcast(0.0F));
    return {round_to_ints(numbers * broadcast(factor)), highest / limit};
}
inline void quantize8(const float* row, std::size_t width, Block8* out) {
    for (std::size_t first = 0; first < width; first += kLanes, ++out) {
        const Rounded rounded = round_block(load_at(row, first, width), 127.0F);
        store_int8(out->codes, rounded.codes);
        out->scale = rounded.scale;
        out->start = -12 * sum(rounded.codes);
    }
}
// 127 * 256 + 127 is the largest code whose parts are both bytes.
inline void quantize16(const float* row, std::size_t width, Block16* out) {
    for (std::size_t first = 0; first < width; first += kLanes, ++out) {
        const Rounded rounded = round_block(load_at(row, first, width), 32639.0F);
        store_int16(out->codes, rounded.codes);
        out->scale = rounded.scale;
        out->start = -12 * sum(rounded.codes);
    }
}

inline void rms_norm(const float* row, const float* weight, std::size_t width, float epsilon, float* out) {
    Floats squares = broadcast(0.0F);
    for (std::size_t i = 0; i < width; i += kLanes) {
        const Floats x = load(row + i);
        squares = fma(x, x, squares);
    }
    const float factor = 1.0F / __builtin_sqrtf(sum(squares) / static_cast<float>(width) + epsilon);
    for (std::size_t i = 0; i < width; i += kLanes) {
        store(out + i, load(row + i) * broadcast(factor) * load_at(weight, i, width));
    }
}

inline void relu2(const float* row, std::size_t width, float* out) {
    for (std::size_t i = 0; i < width; i += kLanes) {
        const Floats x = maximum(load(row + i), broadcast(0.0F));
        store(out + i, x * x);
    }
}
inline void add(const float* left, const float* right, std::size_t width, float* out) {
    for (std::size_t i = 0; i < width; i += kLanes) store(out + i, load(left + i) + load(right + i));
}
inline void add_scaled(const float* row, float factor, std::size_t width, float* out) {
    for (std::size_t i = 0; i < width; i += kLanes) store(out + i, fma(load(row + i), broadcast(factor), load(out + i)));
}
inline void sigmoid_row(const float* row, std::size_t width, float* out) {
    for (std::size_t i = 0; i < width; i += kLanes) store(out + i, sigmoid(load(row + i)));
}
inline void widen_bfloat16(const std::uint16_t* row, std::size_t width, float* out) {
    std::size_t i = 0;
    for (; i + kLanes <= width; i += kLanes) store(out + i, load_bfloat16(row + i));
    if (i < width) {
        std::uint16_t rest[kLanes] = {};
        __builtin_memcpy(rest, row + i, (width - i) * sizeof(std::uint16_t));
        store(out + i, load_bfloat16(rest));
    }
}

}  // namespace trtnemo::TRTNEMO_KERNELS
