// float16 states: each step's rounding is up or down by chance, in the proportion that keeps the mean.
//
// Rounding to nearest would lose every contribution below half a unit and let the state drift; the noise is Philox's with
// five rounds (Salmon et al., SC 2011), its counter place, element, head and layer, so that a token's bits stay its own.
#pragma once

#include "simd.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

struct Noise {
    Ints words[4];
};

inline Noise philox(Ints place, Ints element, Ints head, Ints layer) {
    const Ints first = broadcast_int(0xD2511F53U), second = broadcast_int(0xCD9E8D57U);
    std::uint32_t key0 = 0x5EED5EEDU, key1 = 0x7D2BD5A1U;
    Ints a = place, b = element, c = head, d = layer;
    for (int round = 0; round < 5; ++round) {
        const Ints high0 = multiply_high(a, first), low0 = multiply_low(a, first);
        const Ints high1 = multiply_high(c, second), low1 = multiply_low(c, second);
        a = high1 ^ b ^ broadcast_int(key0);
        b = low1;
        c = high0 ^ d ^ broadcast_int(key1);
        d = low0;
        key0 += 0x9E3779B9U;
        key1 += 0xBB67AE85U;
    }
    return {{a, b, c, d}};
}

// x as a number that float16 holds, rounded by 13 random bits.
inline Floats round_to_half(Floats x, Ints noise) {
    const Floats most = broadcast(65504.0F), least = broadcast(0x1p-14F);
    x = minimum(maximum(x, broadcast(-65504.0F)), most);
    const Ints dropped = broadcast_int(0x1FFFU), kept = broadcast_int(~0x1FFFU), chance = noise & dropped;
    const Floats normal = floats_of((bits_of(x) + chance) & kept);
    // Below 2^-14 the unit is 2^-24 throughout, which is that of the numbers from 2^-14 to 2^-13.
    const Floats size = floats_of((bits_of(magnitude(x) + least) + chance) & kept) - least;
    const Floats small = floats_of(bits_of(size) ^ (bits_of(x) & broadcast_int(0x80000000U)));
    return choose_less(magnitude(x), least, small, normal);
}

}  // namespace trtnemo::TRTNEMO_KERNELS
