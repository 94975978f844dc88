#include "rates.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <vector>

#include "thread_pool.hpp"

#if defined(TRTNEMO_X86)
#include <immintrin.h>
#endif

namespace trtnemo {

namespace {

constexpr std::size_t kRounds = (1U << 20) - 1;  // about 4 ms of twelve chains; odd, so that 16 bits do not end at 0

#if defined(TRTNEMO_X86)
constexpr std::size_t kChains = 12;

__attribute__((target("avx512f,avx512bf16"))) double multiply_bfloat16(std::size_t rounds) {
    __m512 total[kChains];
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kChains; ++i) total[i] = _mm512_set1_ps(static_cast<float>(i));
    const __m512bh ones = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1.0F), _mm512_set1_ps(1.0F));
    for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (std::size_t i = 0; i < kChains; ++i) total[i] = _mm512_dpbf16_ps(total[i], ones, ones);
    }
    __m512 sums = total[0];
#pragma GCC unroll 12
    for (std::size_t i = 1; i < kChains; ++i) sums = _mm512_add_ps(sums, total[i]);
    float lanes[16];
    _mm512_storeu_ps(lanes, sums);
    return lanes[0] > 0.0F ? static_cast<double>(rounds * kChains * 32) : 0.0;
}
bool has_bfloat16() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16"); }
#else
double multiply_bfloat16(std::size_t) { return 0.0; }
bool has_bfloat16() { return false; }
#endif

// The middle of some bursts. The first is not counted: a thread that has just begun may share its maker's core.
double rate(ThreadPool& pool, std::size_t repeats, double (*multiply)(std::size_t)) {
    std::vector<double> rates;
    for (std::size_t repeat = 0; repeat <= repeats; ++repeat) {
        std::vector<double> products(pool.size());
        const auto before = std::chrono::steady_clock::now();
        pool.run(pool.size(), [&](std::size_t item, std::size_t) { products[item] = multiply(kRounds); });
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - before;
        double total = 0.0;
        for (const double one : products) total += one;
        if (repeat > 0) rates.push_back(total / passed.count());
    }
    std::nth_element(rates.begin(), rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2), rates.end());
    return rates[rates.size() / 2];
}

}  // namespace

ProductRates measure_products(const Kernels& kernels, std::size_t threads, std::size_t repeats) {
    if (repeats == 0) throw std::invalid_argument("rates are measured at least once");
    ThreadPool pool(std::max<std::size_t>(1, threads));
    return {rate(pool, repeats, kernels.multiply_bytes), rate(pool, repeats, kernels.multiply_floats),
            has_bfloat16() ? rate(pool, repeats, multiply_bfloat16) : 0.0};
}

}  // namespace trtnemo
