// NVFP4: two E2M1 codes a byte, low nibble first, one scale per 16 columns.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trtnemo {

inline constexpr std::size_t kBlockSize = 16;

// values[r, c] = e2m1(code[r, c]) * scale[r, c / 16]; `scale` is the product of both stored scales, in float32.
void decode_nvfp4(const std::uint8_t* packed, const float* scale, std::size_t rows, std::size_t columns, float* values);

}  // namespace trtnemo
