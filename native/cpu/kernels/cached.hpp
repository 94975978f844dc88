// Keys and values as a page of the KV cache holds them for one head.
//
// Keys lie transposed, [page_tokens / 16][head_dim][16 tokens], so that sixteen tokens are scored at once; values lie
// [page_tokens][padded(head_dim)]. In E4M3 a token's keys and its values have a float32 factor each, behind the codes:
// its largest magnitude over 448, so that nothing is cut off and no file has to say how large they are.
#pragma once

#include <algorithm>

#include "kernels.hpp"
#include "simd.hpp"
#include "weights/codes.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

inline constexpr float kE4m3Highest = 448.0F;
inline constexpr float kE4m3Unit = 256.0F;  // load_e4m3 gives codes times 2^-8

inline Floats load_cached(const float* p) { return load(p); }
inline Floats load_cached(const std::uint16_t* p) { return load_half(p); }
inline Floats load_cached(const std::uint8_t* p) { return load_e4m3(p); }

template <typename Element>
class CachedKeys {
  public:
    CachedKeys(const void* page, std::size_t head_dim, std::size_t page_tokens)
        : elements_(static_cast<const Element*>(page)), head_dim_(head_dim),
          factors_(reinterpret_cast<const float*>(elements_ + page_tokens * head_dim)) {}

    // Element d of the sixteen tokens from `token` on.
    Floats column(std::size_t token, std::size_t d) const {
        return load_cached(elements_ + (token / kLanes * head_dim_ + d) * kLanes);
    }
    void fetch_column(std::size_t token, std::size_t d) const {
        __builtin_prefetch(elements_ + (token / kLanes * head_dim_ + d) * kLanes);
    }
    // What their sums are multiplied by.
    Floats scale(std::size_t token, float scale) const {
        if constexpr (sizeof(Element) > 1) return broadcast(scale);
        return load(factors_ + token) * broadcast(scale * kE4m3Unit);
    }

  private:
    const Element* elements_;
    std::size_t head_dim_;
    const float* factors_;
};

template <typename Element>
class CachedValues {
  public:
    CachedValues(const void* page, std::size_t head_dim, std::size_t page_tokens)
        : elements_(static_cast<const Element*>(page)), stride_(padded(head_dim)),
          factors_(reinterpret_cast<const float*>(elements_ + page_tokens * stride_)) {}

    Floats row(std::size_t token, std::size_t d) const { return load_cached(elements_ + token * stride_ + d); }
    void fetch_row(std::size_t token, std::size_t d) const { __builtin_prefetch(elements_ + token * stride_ + d); }
    // Multiplies the weights of the page's tokens, which the sums over weights have been taken of, by their factors.
    void scale_weights(const AttentionCall& call, std::size_t start) const {
        if constexpr (sizeof(Element) == 1) {
            for (std::size_t token = 0; token < call.page_tokens && start + token < call.length; token += kLanes) {
                const Floats factor = load(factors_ + token) * broadcast(kE4m3Unit);
                for (std::size_t head = 0; head < call.heads; ++head) {
                    float* weights = call.scores + head * padded(call.length) + start + token;
                    store(weights, load(weights) * factor);
                }
            }
        }
    }

  private:
    const Element* elements_;
    std::size_t stride_;
    const float* factors_;
};

// One row as codes, `stride` apart, and its factor: no number where one of the row is none.
inline float encode_e4m3(const float* row, std::size_t count, std::uint8_t* codes, std::size_t stride) {
    float highest = 0.0F;
    for (std::size_t i = 0; i < count; ++i) {
        const float magnitude = __builtin_fabsf(row[i]);
        highest = magnitude > highest || magnitude != magnitude ? magnitude : highest;
    }
    const float factor = highest / kE4m3Highest;
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t bits = bits_of(factor > 0.0F ? row[i] / factor : 0.0F);
        const std::uint32_t code = magnitude_to_e4m3(std::min(bits & kMagnitude, kE4m3Max));
        codes[i * stride] = static_cast<std::uint8_t>(code | (bits >> 24 & 0x80U));
    }
    return factor;
}

inline void store_key(const float* key, const CacheRow& row) {
    const std::size_t place = row.token / kLanes * row.head_dim * kLanes + row.token % kLanes;
    if (row.cache == CacheType::kE4m3) {
        auto* page = static_cast<std::uint8_t*>(row.page);
        auto* factors = reinterpret_cast<float*>(page + row.page_tokens * row.head_dim);
        factors[row.token] = encode_e4m3(key, row.head_dim, page + place, kLanes);
        return;
    }
    for (std::size_t d = 0; d < row.head_dim; d += kLanes) {
        const Floats x = load_at(key, d, row.head_dim);
        const std::size_t count = std::min(kLanes, row.head_dim - d);
        float wide[kLanes];
        std::uint16_t half[kLanes];
        store(wide, x);
        store_half(half, x);
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t at = place + (d + i) * kLanes;
            row.cache == CacheType::kFloat16 ? void(static_cast<std::uint16_t*>(row.page)[at] = half[i])
                                             : void(static_cast<float*>(row.page)[at] = wide[i]);
        }
    }
}

inline void store_value(const float* value, const CacheRow& row) {
    const std::size_t stride = padded(row.head_dim), place = row.token * stride;
    if (row.cache == CacheType::kE4m3) {
        auto* page = static_cast<std::uint8_t*>(row.page);
        auto* factors = reinterpret_cast<float*>(page + row.page_tokens * stride);
        factors[row.token] = encode_e4m3(value, row.head_dim, page + place, 1);
        return;
    }
    for (std::size_t d = 0; d < row.head_dim; d += kLanes) {
        const Floats x = load_at(value, d, row.head_dim);
        row.cache == CacheType::kFloat16 ? store_half(static_cast<std::uint16_t*>(row.page) + place + d, x)
                                         : store(static_cast<float*>(row.page) + place + d, x);
    }
}

}  // namespace trtnemo::TRTNEMO_KERNELS
