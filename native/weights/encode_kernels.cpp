// Compiled once for each form; TRTNEMO_KERNELS names its namespace. All forms give the same bits.
#include "encode.hpp"

#include <algorithm>
#include <cstring>

#include "codes.hpp"
#include "elements.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

using namespace weights;

namespace {

template <class Element>
float largest(const void* data, std::size_t count) {
    const auto* values = static_cast<const typename Element::Bits*>(data);
    std::uint32_t most = 0;  // infinity and NaN are behind all numbers
    for (std::size_t i = 0; i < count; ++i) {
        most = std::max(most, bits_of(Element::widen(values[i])) & kMagnitude);
    }
    return std::bit_cast<float>(most);
}

template <class Element>
void encode_fp8(const void* data, std::size_t count, float scale, std::uint8_t* codes) {
    const auto* values = static_cast<const typename Element::Bits*>(data);
    for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t quotient = bits_of(Element::widen(values[i]) / scale);
        if constexpr (sizeof(typename Element::Bits) == 2) {
            quotient = rounded_to_bf16(quotient);
        }
        const std::uint32_t code = magnitude_to_e4m3(std::min(quotient & kMagnitude, kE4m3Max));
        codes[i] = static_cast<std::uint8_t>(code | ((quotient >> 24) & 0x80U));
    }
}

constexpr std::size_t kTogether = 64;  // blocks: what lies between the steps of their encoding stays near

// What is between the steps for at most kTogether blocks: each step is a loop that compilers turn into vectors.
struct Batch {
    float numbers[kTogether * kBlock], quotients[kTogether * kBlock];
    std::uint32_t most[kTogether], codes[kTogether];  // bits of the largest magnitude; the scale's code
    float scales[kTogether];
};

// A block of zeros has the scale 1, or what that becomes by the second scale.
void choose_by_largest(Batch& batch, std::size_t blocks, float scale_2, float times, bool rescaled_zero) {
    const float whole = kE2m1Max * scale_2;
    const float zero = rescaled_zero ? 1.0F / scale_2 : 1.0F;
    for (std::size_t block = 0; block < blocks; ++block) {
        const float raw = std::bit_cast<float>(batch.most[block]) * times / whole;
        const std::uint32_t bits = chosen(batch.most[block] == 0, bits_of(zero), bits_of(raw));
        batch.codes[block] = magnitude_to_e4m3(std::min(std::max(bits, kLeastScale), kE4m3Max));
    }
}

void divide(Batch& batch, std::size_t blocks, float scale_2) {
    for (std::size_t block = 0; block < blocks; ++block) {
        batch.scales[block] = e4m3_to_float(batch.codes[block]) * scale_2;
    }
    for (std::size_t block = 0; block < blocks; ++block) {
        for (std::size_t i = 0; i < kBlock; ++i) {
            batch.quotients[block * kBlock + i] = batch.numbers[block * kBlock + i] / batch.scales[block];
        }
    }
}

// errors[b]: the sum of squares of what the codes of a block leave, under the scales that are chosen.
void measure_errors(Batch& batch, std::size_t blocks, float scale_2, float* errors) {
    divide(batch, blocks, scale_2);
    for (std::size_t i = 0; i < blocks * kBlock; ++i) {
        batch.quotients[i] = e2m1_to_float(to_e2m1(batch.quotients[i]) & 7U);
    }
    for (std::size_t block = 0; block < blocks; ++block) {
        float sum[kBlock];
        for (std::size_t i = 0; i < kBlock; ++i) {
            const std::size_t at = block * kBlock + i;
            const float number = std::bit_cast<float>(bits_of(batch.numbers[at]) & kMagnitude);
            const float left = number - batch.quotients[at] * batch.scales[block];
            sum[i] = left * left;
        }
        for (std::size_t half = kBlock / 2; half > 0; half /= 2) {
            for (std::size_t i = 0; i < half; ++i) sum[i] += sum[i + half];
        }
        errors[block] = sum[0];
    }
}

// Keep, of two choices, the one with the smaller error; of two alike, the one that was there.
void keep_better(Batch& batch, std::size_t blocks, float scale_2, std::uint32_t* codes, float* errors) {
    float found[kTogether];
    measure_errors(batch, blocks, scale_2, found);
    for (std::size_t block = 0; block < blocks; ++block) {
        const bool is_better = found[block] < errors[block];
        codes[block] = chosen(is_better, batch.codes[block], codes[block]);
        errors[block] = std::bit_cast<float>(chosen(is_better, bits_of(found[block]), bits_of(errors[block])));
    }
}

// The largest number may become 6 or 4: whichever leaves less. Of blocks that are alike, 6.
void choose_four_over_six(Batch& batch, std::size_t blocks, float scale_2) {
    std::uint32_t codes[kTogether];
    float errors[kTogether];
    choose_by_largest(batch, blocks, scale_2, 1.0F, true);
    std::copy(batch.codes, batch.codes + blocks, codes);
    measure_errors(batch, blocks, scale_2, errors);
    choose_by_largest(batch, blocks, scale_2, 1.5F, true);
    keep_better(batch, blocks, scale_2, codes, errors);
    std::copy(codes, codes + blocks, batch.codes);
}

// Of all scales that E4M3 has, the smallest that leaves least. Below 0.6 of what the largest number asks for, cutting
// that number off alone costs more than rounding all sixteen; beyond 12 times it, all of them become 0.
void choose_of_all(Batch& batch, std::size_t blocks, float scale_2) {
    constexpr std::uint32_t kCandidates = 40;  // of eight an octave
    std::uint32_t first[kTogether], codes[kTogether];
    float errors[kTogether];
    choose_by_largest(batch, blocks, scale_2, 0.6F, false);
    for (std::size_t block = 0; block < blocks; ++block) {
        const std::uint32_t below = std::max(batch.codes[block], 2U) - 1;
        first[block] = codes[block] = chosen(batch.most[block] == 0, 1U, below);
        errors[block] = std::bit_cast<float>(0x7F800000U);
    }
    for (std::uint32_t step = 0; step < kCandidates; ++step) {
        for (std::size_t block = 0; block < blocks; ++block) {
            batch.codes[block] = std::min(first[block] + step, 0x7EU);
        }
        keep_better(batch, blocks, scale_2, codes, errors);
    }
    std::copy(codes, codes + blocks, batch.codes);
}

template <class Element>
void encode_blocks(const typename Element::Bits* values, std::size_t blocks, float scale_2, Search search,
                   std::uint8_t* packed, std::uint8_t* block_scales) {
    Batch batch;
    for (std::size_t i = 0; i < blocks * kBlock; ++i) {
        batch.numbers[i] = Element::widen(values[i]);
    }
    for (std::size_t block = 0; block < blocks; ++block) {
        batch.most[block] = bits_of(largest<Element>(values + block * kBlock, kBlock));
    }
    if (search == Search::kFourOverSix) {
        choose_four_over_six(batch, blocks, scale_2);
    } else if (search == Search::kAll) {
        choose_of_all(batch, blocks, scale_2);
    } else {
        choose_by_largest(batch, blocks, scale_2, 1.0F, false);
    }
    divide(batch, blocks, scale_2);
    std::uint8_t nibbles[kTogether * kBlock];
    for (std::size_t i = 0; i < blocks * kBlock; ++i) {
        nibbles[i] = static_cast<std::uint8_t>(to_e2m1(batch.quotients[i]));
    }
    std::uint16_t pairs[kTogether * kBlock / 2];
    std::memcpy(pairs, nibbles, blocks * kBlock);
    for (std::size_t i = 0; i < blocks * kBlock / 2; ++i) {
        packed[i] = static_cast<std::uint8_t>(pairs[i] | (pairs[i] >> 4));  // the first number is the low byte
    }
    for (std::size_t block = 0; block < blocks; ++block) {
        block_scales[block] = static_cast<std::uint8_t>(batch.codes[block]);
    }
}

template <class Element>
void encode_nvfp4(const void* data, std::size_t blocks, float scale_2, Search search, std::uint8_t* packed,
                  std::uint8_t* block_scales) {
    const auto* values = static_cast<const typename Element::Bits*>(data);
    for (std::size_t block = 0; block < blocks; block += kTogether) {
        encode_blocks<Element>(values + block * kBlock, std::min(kTogether, blocks - block), scale_2, search,
                               packed + block * (kBlock / 2), block_scales + block);
    }
}

template <class Element>
constexpr Encoder kEncoder = {.largest = largest<Element>, .fp8 = encode_fp8<Element>, .nvfp4 = encode_nvfp4<Element>};

}  // namespace

extern const Encoders kEncoders = {.bf16 = kEncoder<Bf16>, .f16 = kEncoder<F16>, .f32 = kEncoder<F32>};

}  // namespace trtnemo::TRTNEMO_KERNELS
