#include "nvfp4.hpp"

namespace trtnemo {

namespace {
constexpr float kValues[16] = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,  4.0F,  6.0F,
                               -0.0F, -0.5F, -1.0F, -1.5F, -2.0F, -3.0F, -4.0F, -6.0F};
}

void decode_nvfp4(const std::uint8_t* packed, const float* scale, std::size_t rows, std::size_t columns, float* values) {
    const std::size_t blocks = rows * (columns / kBlockSize);
    for (std::size_t block = 0; block < blocks; ++block) {
        const float factor = scale[block];
        const std::uint8_t* codes = packed + block * (kBlockSize / 2);
        float* out = values + block * kBlockSize;
        for (std::size_t byte = 0; byte < kBlockSize / 2; ++byte) {
            out[2 * byte] = kValues[codes[byte] & 15] * factor;
            out[2 * byte + 1] = kValues[codes[byte] >> 4] * factor;
        }
    }
}

}  // namespace trtnemo
