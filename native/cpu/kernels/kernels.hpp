// The kernels of one form (portable, AVX2, AVX-512) behind pointers, and the arguments that they take.
//
// Every form computes the same bits: integer sums are exact, float sums have one order, and products that are added are
// fused everywhere. A row's result never depends on the rows beside it. Rows of activations are padded with zeros to 16.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "layout.hpp"

namespace trtnemo {

// Sixteen activations in whole numbers: value = codes * scale; start = -12 * sum(codes), what the weights' offset adds.
struct Block8 {
    std::int8_t codes[kBlockColumns];
    float scale;
    std::int32_t start;
};
// The same in 16 bits. How codes lie is known to the form that wrote them: most have the high bytes before the low ones
// (a code is 256 * high + low), so that products of bytes do for them too.
struct Block16 {
    std::int8_t codes[2 * kBlockColumns];
    float scale;
    std::int32_t start;
};

// Rows that a product reads: float32 for plain and E4M3 weights, blocks for NVFP4 ones.
struct Activations {
    const float* values = nullptr;
    std::size_t stride = 0;  // floats from row to row
    const Block8* blocks8 = nullptr;
    const Block16* blocks16 = nullptr;
    std::size_t block_stride = 0;  // blocks from row to row

    Activations from_row(std::size_t row) const {
        Activations moved = *this;
        if (values) moved.values += row * stride;
        if (blocks8) moved.blocks8 += row * block_stride;
        if (blocks16) moved.blocks16 += row * block_stride;
        return moved;
    }
};

// out[i] = matrix rows of tiles [first_tile, last_tile) times x[row_of[i]] (x[i] without row_of), for i below count.
// Element 0 of an out row belongs to the first row of first_tile.
struct Product {
    Matrix matrix;
    std::size_t first_tile, last_tile;
    Activations x;
    const std::uint32_t* row_of;
    std::size_t count;
    float* out;
    std::size_t out_stride;
};

// Keys and values of one head in one page (cached.hpp).
struct HeadPage {
    const void* keys;
    const void* values;
};

// The query heads of one KV head at one token, over the first `length` tokens of the sequence.
struct AttentionCall {
    const float* queries;  // [heads][head_dim]
    float* out;            // [heads][head_dim]
    std::size_t heads, head_dim, length, page_tokens;
    const HeadPage* pages;
    CacheType cache;
    float* scores;  // scratch: heads * padded(length), and one more a head

    static std::size_t scratch(std::size_t heads, std::size_t length) { return heads * (padded(length) + 1); }
};

// Where a token's keys or values of one head go: its place in a page.
struct CacheRow {
    void* page;
    std::size_t head_dim, page_tokens, token;
    CacheType cache;
};

struct Kernels {
    const char* name;
    void (*multiply)(const Product&);
    void (*quantize8)(const float* row, std::size_t width, Block8* out);
    void (*quantize16)(const float* row, std::size_t width, Block16* out);
    void (*rms_norm)(const float* row, const float* weight, std::size_t width, float epsilon, float* out);
    void (*relu2)(const float* row, std::size_t padded_width, float* out);
    void (*add)(const float* left, const float* right, std::size_t padded_width, float* out);
    void (*add_scaled)(const float* row, float factor, std::size_t padded_width, float* out);
    void (*sigmoid)(const float* row, std::size_t padded_width, float* out);
    void (*widen_bfloat16)(const std::uint16_t* row, std::size_t width, float* out);
    void (*store_key)(const float* key, const CacheRow& row);
    void (*store_value)(const float* value, const CacheRow& row);
    void (*attend)(const AttentionCall&);
    // how many products so many rounds of all chains made
    double (*multiply_bytes)(std::size_t rounds);
    double (*multiply_floats)(std::size_t rounds);
};

// The forms that this build has and this machine can run, fastest first.
std::span<const Kernels* const> usable_kernels();
// Throws std::invalid_argument where this machine has none of that name.
const Kernels& kernels_named(const std::string& name);

}  // namespace trtnemo
