#include "routing.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace trtnemo {

namespace {

// Leaves only the groups whose two best choices add up highest.
void mask_groups(const RoutingSizes& sizes, float* choice, std::uint32_t* order) {
    const std::size_t width = sizes.experts / sizes.groups;
    const auto score = [&](std::uint32_t group) {
        float best = -std::numeric_limits<float>::infinity(), second = best;
        for (std::size_t i = group * width; i < (group + 1) * width; ++i) {
            second = std::max(second, std::min(best, choice[i]));
            best = std::max(best, choice[i]);
        }
        return width > 1 ? best + second : best;
    };
    std::iota(order, order + sizes.groups, 0U);
    std::stable_sort(order, order + sizes.groups, [&](auto a, auto b) { return score(a) > score(b); });
    for (std::size_t i = sizes.top_groups; i < sizes.groups; ++i) {
        float* masked = choice + order[i] * width;
        std::fill(masked, masked + width, -std::numeric_limits<float>::infinity());
    }
}

// Writes the `count` experts of the highest choices, the lower number first where two are alike.
void find_highest(const float* choice, std::size_t experts, std::size_t count, std::uint32_t* order) {
    std::size_t found = 0;
    for (std::uint32_t expert = 0; expert < experts; ++expert) {
        if (found == count && !(choice[expert] > choice[order[count - 1]])) continue;
        std::size_t place = found < count ? found++ : count - 1;
        for (; place > 0 && choice[expert] > choice[order[place - 1]]; --place) order[place] = order[place - 1];
        order[place] = expert;
    }
}

}  // namespace

void route(const RoutingSizes& sizes, const float* scores, const float* correction_bias, float* choice,
           std::uint32_t* order, Pick* picks) {
    for (std::size_t expert = 0; expert < sizes.experts; ++expert) {
        choice[expert] = scores[expert] + correction_bias[expert];
    }
    if (sizes.groups > 1) mask_groups(sizes, choice, order);
    find_highest(choice, sizes.experts, sizes.top_k, order);
    std::sort(order, order + sizes.top_k);
    float total = 0.0F;
    for (std::size_t k = 0; k < sizes.top_k; ++k) total += scores[order[k]];
    for (std::size_t k = 0; k < sizes.top_k; ++k) {
        const float weight = sizes.normalizes ? scores[order[k]] / (total + 1e-20F) : scores[order[k]];
        picks[k] = {order[k], weight * sizes.scaling_factor};
    }
}

}  // namespace trtnemo
