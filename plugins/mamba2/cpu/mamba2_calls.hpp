// What the kernels of mamba2 take, and their table; one for each form of the CPU kernels.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trtnemo {

struct ConvolutionCall {
    const float* input;  // [tokens] rows, this call's channels from `first` to `last`
    std::size_t input_stride;
    float* out;
    std::size_t out_stride;
    std::size_t tokens, first, last, channels, kernel;
    const float* weight;  // [kernel][channels]
    const float* bias;    // [channels], or null
    float* state;         // [kernel - 1][channels]
    bool keeps_state;
};

struct ScanCall {
    const float* x;  // the head's columns; rows x_stride apart, as those of b and c
    const float* b;
    const float* c;
    std::size_t stride;
    const float* dt;     // [tokens], after softplus
    const float* decay;  // [tokens], exp(dt * A)
    float skip;          // D of the head
    float* out;
    std::size_t out_stride;
    std::size_t tokens, head_dim, state_size;
    void* state;     // [padded(head_dim) / 16][state_size][16]
    float* scratch;  // [tokens][16]
    bool keeps_state;
    bool is_half;  // the state is float16, stochastically rounded at each token
    std::uint32_t position, head, layer;

    // Moves on to the tokens behind the first `count`.
    void skip_tokens(std::size_t count) {
        x += count * stride;
        b += count * stride;
        c += count * stride;
        dt += count;
        decay += count;
        out += count * out_stride;
        position += static_cast<std::uint32_t>(count);
    }
};

struct GatedNormCall {
    float* values;      // one row, replaced
    const float* gate;  // one row
    const float* weight;
    std::size_t width, groups;
    float epsilon;
};

struct Mamba2Kernels {
    void (*convolve)(const ConvolutionCall&);
    void (*scan)(const ScanCall&);
    void (*gated_norm)(const GatedNormCall&);
};

}  // namespace trtnemo
