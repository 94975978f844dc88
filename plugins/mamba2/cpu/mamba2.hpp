// The mamba2 plugin between in_proj and out_proj on a CPU: convolution, scan, gated norm (Dao and Gu, arXiv 2405.21060).
// The scan is sequential in time, so that a token's bits do not depend on how a prompt was cut.
#pragma once

#include "half_state.hpp"
#include "layout.hpp"
#include "mamba2_calls.hpp"
#include "simd.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

// Row `row` of the history: the state's rows, then the input's.
inline const float* convolution_row(const ConvolutionCall& call, std::size_t row) {
    const std::size_t history = call.kernel - 1;
    return row < history ? call.state + row * call.channels : call.input + (row - history) * call.input_stride;
}

// Row t + tap of the history meets tap `tap` of the kernel. Token by token, for rows lie pages apart.
inline void convolve(const ConvolutionCall& call) {
    for (std::size_t t = 0; t < call.tokens; ++t) {
        for (std::size_t channel = call.first; channel < call.last; channel += kLanes) {
            Floats total = broadcast(0.0F);
            for (std::size_t tap = 0; tap < call.kernel; ++tap) {
                const Floats weight = load_at(call.weight + tap * call.channels, channel, call.channels);
                total = fma(load_at(convolution_row(call, t + tap), channel, call.channels), weight, total);
            }
            if (call.bias) total = total + load_at(call.bias, channel, call.channels);
            store_at(call.out + t * call.out_stride, channel, call.channels, silu(total));
        }
    }
    if (!call.keeps_state) return;
    for (std::size_t row = 0; row + 1 < call.kernel; ++row) {
        for (std::size_t channel = call.first; channel < call.last; channel += kLanes) {
            store_at(call.state + row * call.channels, channel, call.channels,
                     load_at(convolution_row(call, row + call.tokens), channel, call.channels));
        }
    }
}

inline Floats load_state(const float* p) { return load(p); }
inline Floats load_state(const std::uint16_t* p) { return load_half(p); }
inline void store_state(float* p, Floats x) { store(p, x); }
inline void store_state(std::uint16_t* p, Floats x) { store_half(p, x); }

// Rounds `Count` columns, from n on, of the state after a token.
template <std::size_t Count>
[[gnu::always_inline]] inline void round_columns(const ScanCall& call, std::size_t p, std::size_t n, std::size_t t,
                                                 Floats (&state)[Count]) {
    const Ints place = broadcast_int(call.position + static_cast<std::uint32_t>(t));
    const Ints head = broadcast_int(call.head), layer = broadcast_int(call.layer);
    Noise noise{};
#pragma GCC unroll 16
    for (std::size_t i = 0; i < Count; ++i) {
        const std::size_t column = n + i;
        if (i == 0 || column % 4 == 0) {
            const auto start = static_cast<std::uint32_t>(column / 4 * padded(call.head_dim) + p);
            noise = philox(place, lane_numbers() + broadcast_int(start), head, layer);
        }
        state[i] = round_to_half(state[i], noise.words[column % 4]);
    }
}

inline constexpr std::size_t kColumnsAhead = 64;

// `Count` columns of the state, from n on, stay in registers over all tokens; y adds them up in ascending order. Every
// loop over them is unrolled: with one that is not, a compiler keeps them in memory too, written there at each token.
template <std::size_t Count, typename Element>
void scan_columns(const ScanCall& call, std::size_t p, std::size_t n) {
    Element* place = static_cast<Element*>(call.state) + p * call.state_size + n * kLanes;
    // A step of few tokens waits for the state: what follows is on its way meanwhile, the next head's at the end of one.
    for (std::size_t i = 0; i < Count; ++i) __builtin_prefetch(place + kColumnsAhead * kLanes + i * kLanes);
    Floats state[Count];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < Count; ++i) state[i] = load_state(place + i * kLanes);
    for (std::size_t t = 0; t < call.tokens; ++t) {
        const Floats decay = broadcast(call.decay[t]);
        const Floats drive = load_at(call.x + t * call.stride, p, call.head_dim) * broadcast(call.dt[t]);
        const float* b = call.b + t * call.stride + n;
        const float* c = call.c + t * call.stride + n;
        Floats y = load(call.scratch + t * kLanes);
#pragma GCC unroll 16
        for (std::size_t i = 0; i < Count; ++i) {
            state[i] = fma(state[i], decay, drive * broadcast(b[i]));
            y = fma(state[i], broadcast(c[i]), y);
        }
        store(call.scratch + t * kLanes, y);
        if constexpr (sizeof(Element) == 2) round_columns<Count>(call, p, n, t, state);
    }
    if (!call.keeps_state) return;
#pragma GCC unroll 16
    for (std::size_t i = 0; i < Count; ++i) store_state(place + i * kLanes, state[i]);
}

template <typename Element>
void scan_as(const ScanCall& call) {
#if defined(TRTNEMO_AVX512)
    constexpr std::size_t kColumns = 16;
#else
    constexpr std::size_t kColumns = 4;
#endif
    for (std::size_t p = 0; p < call.head_dim; p += kLanes) {
        for (std::size_t t = 0; t < call.tokens; ++t) store(call.scratch + t * kLanes, broadcast(0.0F));
        std::size_t n = 0;
        for (; n + kColumns <= call.state_size; n += kColumns) scan_columns<kColumns, Element>(call, p, n);
        for (; n < call.state_size; ++n) scan_columns<1, Element>(call, p, n);
        for (std::size_t t = 0; t < call.tokens; ++t) {
            const Floats x = load_at(call.x + t * call.stride, p, call.head_dim);
            const Floats y = fma(x, broadcast(call.skip), load(call.scratch + t * kLanes));
            store_at(call.out + t * call.out_stride, p, call.head_dim, y);
        }
    }
}

inline void scan(const ScanCall& call) {
    call.is_half ? scan_as<std::uint16_t>(call) : scan_as<float>(call);
}

// Gate first, then each group of channels is normalized on its own.
inline void gated_norm(const GatedNormCall& call) {
    const std::size_t width = call.width / call.groups;
    for (std::size_t group = 0; group < call.groups; ++group) {
        float* values = call.values + group * width;
        const float* gate = call.gate + group * width;
        Floats squares = broadcast(0.0F);
        for (std::size_t i = 0; i < width; i += kLanes) {
            const Floats x = load_at(values, i, width) * silu(load_at(gate, i, width));
            store_at(values, i, width, x);
            squares = fma(x, x, squares);
        }
        const float factor = 1.0F / __builtin_sqrtf(sum(squares) / static_cast<float>(width) + call.epsilon);
        for (std::size_t i = 0; i < width; i += kLanes) {
            const Floats weight = load_at(call.weight + group * width, i, width);
            store_at(values, i, width, load_at(values, i, width) * broadcast(factor) * weight);
        }
    }
}

}  // namespace trtnemo::TRTNEMO_KERNELS
