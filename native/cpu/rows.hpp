// Work on single rows: norms, element by element, rounding to whole numbers.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

template <typename Code>
inline void quantize(const float* row, std::size_t width, ActivationBlock<Code>* out) {
    constexpr float kLimit = sizeof(Code) == 1 ? 127.0F : 32767.0F;
    for (std::size_t first = 0; first < width; first += kLanes, ++out) {
        const Floats x = load_at(row, first, width);
        const float highest = largest(magnitude(x));
        const float factor = highest > 0.0F ? kLimit / highest : 0.0F;
        const Ints codes = round_to_ints(x * broadcast(factor));
        if constexpr (sizeof(Code) == 1) {
            store_int8(out->codes, codes);
        } else {
            std::int16_t straight[kLanes];
            store_int16(straight, codes);
            for (std::size_t i = 0; i < kLanes; i += 4) {
                out->codes[i] = straight[i], out->codes[i + 1] = straight[i + 2];
                out->codes[i + 2] = straight[i + 1], out->codes[i + 3] = straight[i + 3];
            }
        }
        out->scale = highest / kLimit;
        out->start = -12 * sum(codes);
    }
}
inline void quantize8(const float* row, std::size_t width, Block8* out) { quantize(row, width, out); }
inline void quantize16(const float* row, std::size_t width, Block16* out) { quantize(row, width, out); }

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
