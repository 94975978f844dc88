// Which experts a token goes to, and with which weights (DeepSeek-V3, arXiv 2412.19437).
#pragma once

#include <cstddef>
#include <cstdint>

namespace trtnemo {

struct RoutingSizes {
    std::size_t experts, top_k, groups, top_groups;
    bool normalizes;
    float scaling_factor;
};

struct Pick {
    std::uint32_t expert;
    float weight;
};

// Writes top_k picks of one token, experts ascending. choice and order are scratch of `experts` elements each.
void route(const RoutingSizes& sizes, const float* scores, const float* correction_bias, float* choice,
           std::uint32_t* order, Pick* picks);

}  // namespace trtnemo
