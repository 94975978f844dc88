// From a row of logits to a token: what temperature, top_k, top_p and min_p leave, and Gumbel's trick over it.
//
// The rules, the noise and what decides between equals are trtnemo/runtime/sampler.py's, to the bit but for the last ones of
// a logarithm; that file says why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trtnemo {

struct SamplingRule {
    double temperature;   // 0: the likeliest
    std::size_t top_k;    // 0: all
    double top_p, min_p;  // 1 and 0: all
};

// How the token of one row is drawn.
struct RowDraw {
    SamplingRule rule;
    std::uint64_t seed, place;
};

inline constexpr std::int64_t kNoNumber = -2;

// The token of a row, kNoNumber where some of its logits are no numbers.
std::int64_t draw_row(std::span<const float> logits, const RowDraw& draw);

// A row with what a mask forbids at minus infinity: bit i of word i / 32 allows token i. Returns false where none is left.
bool mask_row(std::span<const float> logits, std::span<const std::uint32_t> allowed, std::vector<float>& out);
bool mask_row(std::span<const double> logits, std::span<const std::uint32_t> allowed, std::vector<double>& out);

std::size_t sample(std::span<const float> logits, const SamplingRule& rule, std::uint64_t seed, std::uint64_t place);
std::size_t sample(std::span<const double> logits, const SamplingRule& rule, std::uint64_t seed, std::uint64_t place);

}  // namespace trtnemo
