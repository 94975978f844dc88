// Attention of one token over a paged KV cache; a token's result depends on the tokens before it, not on their pages.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

inline Floats load_cached(const float* p) { return load(p); }
inline Floats load_cached(const std::uint16_t* p) { return load_half(p); }

inline void store_key(const float* key, std::size_t head_dim, void* keys, std::size_t token, bool is_half) {
    const std::size_t place = token / kLanes * head_dim * kLanes + token % kLanes;
    for (std::size_t d = 0; d < head_dim; d += kLanes) {
        const Floats x = load_at(key, d, head_dim);
        const std::size_t count = head_dim - d < kLanes ? head_dim - d : kLanes;
        float wide[kLanes];
        std::uint16_t half[kLanes];
        store(wide, x);
        store_half(half, x);
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t at = place + (d + i) * kLanes;
            is_half ? void(static_cast<std::uint16_t*>(keys)[at] = half[i])
                    : void(static_cast<float*>(keys)[at] = wide[i]);
        }
    }
}
inline void store_value(const float* value, std::size_t head_dim, void* values, std::size_t token, bool is_half) {
    for (std::size_t d = 0; d < head_dim; d += kLanes) {
        const Floats x = load_at(value, d, head_dim);
        const std::size_t at = token * padded(head_dim) + d;
        is_half ? store_half(static_cast<std::uint16_t*>(values) + at, x)
                : store(static_cast<float*>(values) + at, x);
    }
}

// scores[head][token] = query . key / sqrt(head_dim) of sixteen tokens at a time
template <std::size_t Heads, typename Element>
void score(const AttentionCall& call, std::size_t head) {
    const Floats scale = broadcast(1.0F / __builtin_sqrtf(static_cast<float>(call.head_dim)));
    for (std::size_t token = 0; token < call.length; token += kLanes) {
        const HeadPage& page = call.pages[token / call.page_tokens];
        const std::size_t group = token % call.page_tokens / kLanes;
        const Element* keys = static_cast<const Element*>(page.keys) + group * call.head_dim * kLanes;
        Floats total[Heads];
        for (std::size_t h = 0; h < Heads; ++h) total[h] = broadcast(0.0F);
        for (std::size_t d = 0; d < call.head_dim; ++d) {
            const Floats key = load_cached(keys + d * kLanes);
            for (std::size_t h = 0; h < Heads; ++h) {
                total[h] = fma(key, broadcast(call.queries[(head + h) * call.head_dim + d]), total[h]);
            }
        }
        for (std::size_t h = 0; h < Heads; ++h) {
            store(call.scores + (head + h) * padded(call.length) + token, total[h] * scale);
        }
    }
}

// Replaces scores by exp(score - largest), and returns their sum.
inline float exponentiate(float* scores, std::size_t length) {
    Floats highest = broadcast(scores[0]);
    std::size_t token = 0;
    for (; token + kLanes <= length; token += kLanes) highest = maximum(highest, load(scores + token));
    float top = largest(highest);
    for (; token < length; ++token) top = scores[token] > top ? scores[token] : top;
    Floats total = broadcast(0.0F);
    for (token = 0; token < length; token += kLanes) {
        store(scores + token, exponential(load(scores + token) - broadcast(top)));
        for (std::size_t beyond = length; beyond < token + kLanes; ++beyond) scores[beyond] = 0.0F;
        total = total + load(scores + token);
    }
    return sum(total);
}

template <std::size_t Heads, typename Element>
void weigh(const AttentionCall& call, std::size_t head, const float* sums) {
    const std::size_t stride = padded(call.head_dim);
    for (std::size_t d = 0; d < call.head_dim; d += kLanes) {
        Floats total[Heads];
        for (std::size_t h = 0; h < Heads; ++h) total[h] = broadcast(0.0F);
        for (std::size_t start = 0; start < call.length; start += call.page_tokens) {
            const Element* values = static_cast<const Element*>(call.pages[start / call.page_tokens].values) + d;
            const std::size_t end = start + call.page_tokens < call.length ? call.page_tokens : call.length - start;
            for (std::size_t token = 0; token < end; ++token) {
                const Floats value = load_cached(values + token * stride);
                for (std::size_t h = 0; h < Heads; ++h) {
                    const float weight = call.scores[(head + h) * padded(call.length) + start + token];
                    total[h] = fma(value, broadcast(weight), total[h]);
                }
            }
        }
        for (std::size_t h = 0; h < Heads; ++h) {
            store_at(call.out + (head + h) * call.head_dim, d, call.head_dim, total[h] / broadcast(sums[h]));
        }
    }
}

template <std::size_t Heads, typename Element>
void attend_heads(const AttentionCall& call, std::size_t head) {
    score<Heads, Element>(call, head);
    float sums[Heads];
    for (std::size_t h = 0; h < Heads; ++h) {
        sums[h] = exponentiate(call.scores + (head + h) * padded(call.length), call.length);
    }
    weigh<Heads, Element>(call, head, sums);
}

template <typename Element>
void attend_as(const AttentionCall& call) {
    std::size_t head = 0;
    for (; head + 4 <= call.heads; head += 4) attend_heads<4, Element>(call, head);
    for (; head < call.heads; ++head) attend_heads<1, Element>(call, head);
}
inline void attend(const AttentionCall& call) {
    call.is_half ? attend_as<std::uint16_t>(call) : attend_as<float>(call);
}

}  // namespace trtnemo::TRTNEMO_KERNELS
