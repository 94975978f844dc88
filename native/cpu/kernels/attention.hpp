// Attention of one token over a paged KV cache; a token's result depends on the tokens before it, not on their pages.
//
// Every key and value is read once for all query heads that share it: page by page, then head by head.
#pragma once

#include <algorithm>

#include "cached.hpp"
#include "kernels.hpp"
#include "simd.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

// Query heads whose sums stay in registers while a key or a value is read for them.
#if defined(TRTNEMO_AVX512)
inline constexpr std::size_t kHeadsAtOnce = 8;
#else
inline constexpr std::size_t kHeadsAtOnce = 4;
#endif

// Runs `pass.template operator()<Heads>(first)` over all heads.
template <typename Pass>
void for_each_heads(std::size_t heads, Pass pass) {
    std::size_t head = 0;
    for (; head + kHeadsAtOnce <= heads; head += kHeadsAtOnce) pass.template operator()<kHeadsAtOnce>(head);
    if constexpr (kHeadsAtOnce > 4) {
        for (; head + 4 <= heads; head += 4) pass.template operator()<4>(head);
    }
    for (; head < heads; ++head) pass.template operator()<1>(head);
}

// scores[head][token] = query . key / sqrt(head_dim) of sixteen tokens
template <std::size_t Heads, typename Element>
void score_group(const AttentionCall& call, const CachedKeys<Element>& keys, std::size_t token, std::size_t head) {
    Floats total[Heads];
    for (std::size_t h = 0; h < Heads; ++h) total[h] = broadcast(0.0F);
    for (std::size_t d = 0; d < call.head_dim; ++d) {
        const Floats key = keys.column(token % call.page_tokens, d);
#pragma GCC unroll 8
        for (std::size_t h = 0; h < Heads; ++h) {
            total[h] = fma(key, broadcast(call.queries[(head + h) * call.head_dim + d]), total[h]);
        }
    }
    const Floats scale = keys.scale(token % call.page_tokens, 1.0F / __builtin_sqrtf(static_cast<float>(call.head_dim)));
    for (std::size_t h = 0; h < Heads; ++h) {
        store(call.scores + (head + h) * padded(call.length) + token, total[h] * scale);
    }
}

template <typename Element>
void score(const AttentionCall& call) {
    for (std::size_t token = 0; token < call.length; token += kLanes) {
        const CachedKeys<Element> keys(call.pages[token / call.page_tokens].keys, call.head_dim, call.page_tokens);
        for_each_heads(call.heads, [&]<std::size_t Heads>(std::size_t head) {
            score_group<Heads, Element>(call, keys, token, head);
        });
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

// Adds one page's values to the output of some heads, sixteen columns at a time, tokens in ascending order.
template <std::size_t Heads, typename Element>
void weigh_page(const AttentionCall& call, const CachedValues<Element>& values, std::size_t start, std::size_t head) {
    const std::size_t end = std::min(call.page_tokens, call.length - start), stride = padded(call.length);
    const float* weights = call.scores + head * stride + start;
    for (std::size_t d = 0; d < call.head_dim; d += kLanes) {
        Floats total[Heads];
        for (std::size_t h = 0; h < Heads; ++h) {
            total[h] = start ? load_at(call.out + (head + h) * call.head_dim, d, call.head_dim) : broadcast(0.0F);
        }
        for (std::size_t token = 0; token < end; ++token) {
            const Floats value = values.row(token, d);
#pragma GCC unroll 8
            for (std::size_t h = 0; h < Heads; ++h) {
                total[h] = fma(value, broadcast(weights[h * stride + token]), total[h]);
            }
        }
        for (std::size_t h = 0; h < Heads; ++h) {
            store_at(call.out + (head + h) * call.head_dim, d, call.head_dim, total[h]);
        }
    }
}

template <typename Element>
void weigh(const AttentionCall& call) {
    for (std::size_t start = 0; start < call.length; start += call.page_tokens) {
        const CachedValues<Element> values(call.pages[start / call.page_tokens].values, call.head_dim, call.page_tokens);
        values.scale_weights(call, start);
        for_each_heads(call.heads, [&]<std::size_t Heads>(std::size_t head) {
            weigh_page<Heads, Element>(call, values, start, head);
        });
    }
}

template <typename Element>
void attend_as(const AttentionCall& call) {
    score<Element>(call);
    float* sums = call.scores + call.heads * padded(call.length);
    for (std::size_t head = 0; head < call.heads; ++head) {
        sums[head] = exponentiate(call.scores + head * padded(call.length), call.length);
    }
    weigh<Element>(call);
    for (std::size_t head = 0; head < call.heads; ++head) {
        float* out = call.out + head * call.head_dim;
        for (std::size_t d = 0; d < call.head_dim; d += kLanes) {
            store_at(out, d, call.head_dim, load_at(out, d, call.head_dim) / broadcast(sums[head]));
        }
    }
}

inline void attend(const AttentionCall& call) {
    switch (call.cache) {
        case CacheType::kFloat32: return attend_as<float>(call);
        case CacheType::kFloat16: return attend_as<std::uint16_t>(call);
        case CacheType::kE4m3: return attend_as<std::uint8_t>(call);
    }
}

}  // namespace trtnemo::TRTNEMO_KERNELS
