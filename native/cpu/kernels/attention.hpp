// Attention of one token over a paged KV cache; a token's result depends on the tokens before it, not on their pages.
//
// Every key and value is read once for all query heads that share it: page by page, then head by head.
#pragma once

#include <algorithm>

#include "cached.hpp"
#include "kernels.hpp"
#include "simd.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

// How many query heads' sums stay in registers while a key or a value is read for them. Each head has so many vectors of
// sums, of sixteen tokens or sixteen columns each: one number of a query, or one weight, serves them all.
#if defined(TRTNEMO_AVX512)
inline constexpr std::size_t kHeadsAtOnce = 8, kVectorsAtOnce = 2;
#else
inline constexpr std::size_t kHeadsAtOnce = 4, kVectorsAtOnce = 1;
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

// scores[head][token] = query . key / sqrt(head_dim) of `Groups` times sixteen tokens of a page. The next page's are on
// their way meanwhile, for pages lie apart and the machine's own prefetching ends with each.
template <std::size_t Heads, std::size_t Groups, typename Element>
void score_groups(const AttentionCall& call, const CachedKeys<Element>& keys, const CachedKeys<Element>& next,
                  std::size_t token, std::size_t head) {
    const std::size_t place = token % call.page_tokens;
    Floats total[Heads][Groups];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < Heads * Groups; ++i) total[i / Groups][i % Groups] = broadcast(0.0F);
    for (std::size_t d = 0; d < call.head_dim; ++d) {
        Floats key[Groups];
#pragma GCC unroll 2
        for (std::size_t g = 0; g < Groups; ++g) {
            key[g] = keys.column(place + g * kLanes, d);
            next.fetch_column(place + g * kLanes, d);
        }
#pragma GCC unroll 8
        for (std::size_t h = 0; h < Heads; ++h) {
            const Floats query = broadcast(call.queries[(head + h) * call.head_dim + d]);
#pragma GCC unroll 2
            for (std::size_t g = 0; g < Groups; ++g) total[h][g] = fma(key[g], query, total[h][g]);
        }
    }
    const float root = 1.0F / __builtin_sqrtf(static_cast<float>(call.head_dim));
#pragma GCC unroll 2
    for (std::size_t g = 0; g < Groups; ++g) {
        const Floats scale = keys.scale(place + g * kLanes, root);
#pragma GCC unroll 8
        for (std::size_t h = 0; h < Heads; ++h) {
            store(call.scores + (head + h) * padded(call.length) + token + g * kLanes, total[h][g] * scale);
        }
    }
}

template <typename Element>
void score(const AttentionCall& call) {
    std::size_t groups = 1;
    for (std::size_t token = 0; token < call.length; token += groups * kLanes) {
        const HeadPage* page = call.pages + token / call.page_tokens;
        const std::size_t page_end = (token / call.page_tokens + 1) * call.page_tokens;
        const CachedKeys<Element> keys(page->keys, call.head_dim, call.page_tokens);
        const HeadPage* following = page_end < call.length ? page + 1 : page;
        const CachedKeys<Element> next(following->keys, call.head_dim, call.page_tokens);
        const std::size_t end = std::min(page_end, padded(call.length));
        groups = token + kVectorsAtOnce * kLanes <= end ? kVectorsAtOnce : 1;
        for_each_heads(call.heads, [&]<std::size_t Heads>(std::size_t head) {
            groups == 1 ? score_groups<Heads, 1, Element>(call, keys, next, token, head)
                        : score_groups<Heads, kVectorsAtOnce, Element>(call, keys, next, token, head);
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

// Adds one page's values, `Parts` times sixteen columns of them, to the output of some heads; tokens in ascending order.
template <std::size_t Heads, std::size_t Parts, typename Element>
void weigh_columns(const AttentionCall& call, const CachedValues<Element>& values, const CachedValues<Element>& next,
                   std::size_t start, std::size_t head, std::size_t first) {
    const std::size_t end = std::min(call.page_tokens, call.length - start), stride = padded(call.length);
    const float* weights = call.scores + head * stride + start;
    float* out = call.out + head * call.head_dim;
    Floats total[Heads][Parts];
#pragma GCC unroll 8
    for (std::size_t h = 0; h < Heads; ++h) {
#pragma GCC unroll 2
        for (std::size_t part = 0; part < Parts; ++part) {
            const std::size_t d = first + part * kLanes;
            total[h][part] = start ? load_at(out + h * call.head_dim, d, call.head_dim) : broadcast(0.0F);
        }
    }
    for (std::size_t token = 0; token < end; ++token) {
        Floats value[Parts];
#pragma GCC unroll 2
        for (std::size_t part = 0; part < Parts; ++part) {
            value[part] = values.row(token, first + part * kLanes);
            next.fetch_row(token, first + part * kLanes);
        }
#pragma GCC unroll 8
        for (std::size_t h = 0; h < Heads; ++h) {
            const Floats weight = broadcast(weights[h * stride + token]);
#pragma GCC unroll 2
            for (std::size_t part = 0; part < Parts; ++part) total[h][part] = fma(value[part], weight, total[h][part]);
        }
    }
#pragma GCC unroll 8
    for (std::size_t h = 0; h < Heads; ++h) {
#pragma GCC unroll 2
        for (std::size_t part = 0; part < Parts; ++part) {
            store_at(out + h * call.head_dim, first + part * kLanes, call.head_dim, total[h][part]);
        }
    }
}

template <std::size_t Heads, typename Element>
void weigh_page(const AttentionCall& call, const CachedValues<Element>& values, const CachedValues<Element>& next,
                std::size_t start, std::size_t head) {
    std::size_t d = 0;
    for (; d + kVectorsAtOnce * kLanes <= call.head_dim; d += kVectorsAtOnce * kLanes) {
        weigh_columns<Heads, kVectorsAtOnce, Element>(call, values, next, start, head, d);
    }
    for (; d < call.head_dim; d += kLanes) weigh_columns<Heads, 1, Element>(call, values, next, start, head, d);
}

template <typename Element>
void weigh(const AttentionCall& call) {
    for (std::size_t start = 0; start < call.length; start += call.page_tokens) {
        const HeadPage* page = call.pages + start / call.page_tokens;
        const HeadPage* following = start + call.page_tokens < call.length ? page + 1 : page;
        const CachedValues<Element> values(page->values, call.head_dim, call.page_tokens);
        const CachedValues<Element> next(following->values, call.head_dim, call.page_tokens);
        values.scale_weights(call, start);
        for_each_heads(call.heads, [&]<std::size_t Heads>(std::size_t head) {
            weigh_page<Heads, Element>(call, values, next, start, head);
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
