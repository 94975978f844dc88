// e^x and log(1 + e^x) by sums and products alone, so that their bits depend on no machine's library.
#pragma once

#include <cmath>
#include <cstdint>

namespace trtnemo {

// e^x for |x| up to 700: powers of two are taken out, and Taylor's series is left, far closer than a float tells.
inline double series_exp(double x) {
    constexpr double kLog2E = 1.4426950408889634, kLn2High = 0.6931471803691238, kLn2Low = 1.9082149292705877e-10;
    constexpr double kParts[] = {1.0 / 9, 1.0 / 8, 1.0 / 7, 1.0 / 6, 1.0 / 5, 1.0 / 4, 1.0 / 3, 1.0 / 2, 1.0};
    const double power = std::nearbyint(x * kLog2E);
    const double r = (x - power * kLn2High) - power * kLn2Low;
    double sum = 1.0;
    for (const double part : kParts) sum = 1.0 + sum * (r * part);
    const std::uint64_t bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(power) + 1023) << 52;
    double scale;
    __builtin_memcpy(&scale, &bits, sizeof scale);
    return sum * scale;
}

// log(1 + u) for u from 0 to 1: twice the series of atanh at u / (2 + u), which is at most a third.
inline double series_log1p(double u) {
    constexpr double kParts[] = {1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1.0};
    const double s = u / (2.0 + u), square = s * s;
    double sum = 0.0;
    for (const double part : kParts) sum = part + sum * square;
    return 2.0 * s * sum;
}

inline float exact_exp(float x) {
    if (!(std::fabs(x) <= 700.0F)) return x > 0.0F ? INFINITY : x < 0.0F ? 0.0F : x;  // the last is no number
    return static_cast<float>(series_exp(static_cast<double>(x)));
}

// log(1 + e^x)
inline float exact_softplus(float x) {
    if (!(std::fabs(x) <= 700.0F)) return x < 0.0F ? 0.0F : x;
    const double small = series_log1p(series_exp(-std::fabs(static_cast<double>(x))));
    return static_cast<float>((x > 0.0F ? static_cast<double>(x) : 0.0) + small);
}

}  // namespace trtnemo
