// Plain weights to FP8 and NVFP4, with the bits of ModelOpt 0.47 for max calibration.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trtnemo::weights {

inline constexpr std::size_t kBlock = 16;

// The largest magnitude; infinity or NaN where one of the numbers is.
template <class Element>
float largest(const typename Element::Bits* values, std::size_t count);

// codes[i] = e4m3(values[i] / scale), to the nearest, of two the even one. A quotient of numbers that are not float32 is
// rounded to BF16 first, as torch divides a BF16 tensor by a scalar.
template <class Element>
void encode_fp8(const typename Element::Bits* values, std::size_t count, float scale, std::uint8_t* codes);

// packed: eight bytes a block, low nibble first; block_scales: one E4M3 code a block. scale_2 is above 0.
template <class Element>
void encode_nvfp4(const typename Element::Bits* values, std::size_t blocks, float scale_2, std::uint8_t* packed,
                  std::uint8_t* block_scales);

}  // namespace trtnemo::weights
