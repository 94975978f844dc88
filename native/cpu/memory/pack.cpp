#include "pack.hpp"

#include <algorithm>
#include <cstring>

namespace trtnemo {

namespace {

// Four nibbles to the low halves of four bytes.
std::uint32_t spread(std::uint32_t nibbles) {
    nibbles = (nibbles | nibbles << 8) & 0x00FF00FFU;
    return (nibbles | nibbles << 4) & 0x0F0F0F0FU;
}

// A row's 16 codes as two words: columns 0 to 3 below columns 4 to 7, and 8 to 11 below 12 to 15.
void pack_codes(const std::uint8_t* row, std::uint8_t* first, std::uint8_t* second) {
    std::uint64_t codes;
    std::memcpy(&codes, row, sizeof codes);
    const auto part = [&](int index) { return spread(static_cast<std::uint32_t>(codes >> (16 * index)) & 0xFFFFU); };
    const std::uint32_t low = part(0) | part(1) << 4, high = part(2) | part(3) << 4;
    std::memcpy(first, &low, sizeof low);
    std::memcpy(second, &high, sizeof high);
}

void pack_nvfp4_tile(const Matrix& matrix, std::size_t tile, const std::uint8_t* rows, const std::uint8_t* block_scales,
                     std::uint8_t* out) {
    const std::size_t blocks = matrix.blocks(), first = tile * kTileRows;
    const std::size_t count = std::min(kTileRows, matrix.rows - first);
    for (std::size_t r = 0; r < count; ++r) {
        const std::uint8_t* codes = rows + (first + r) * matrix.columns / 2;
        const std::uint8_t* scales = block_scales + (first + r) * blocks;
        for (std::size_t b = 0; b < blocks; ++b) {
            std::uint8_t* group = out + b / kGroupBlocks * kGroupBytes;
            const std::size_t start = b / kGroupBlocks * kGroupBlocks, place = b - start;
            std::uint8_t* block = group + place * kBlockBytes + 4 * r;
            pack_codes(codes + b * kBlockColumns / 2, block, block + kBlockBytes / 2);
            // An E4M3 scale is never negative; a sign bit would shift into the half float's own.
            group[std::min(kGroupBlocks, blocks - start) * kBlockBytes + place * kTileRows + r] = scales[b] & 0x7FU;
        }
    }
}

template <typename Element>
void pack_tile(const Matrix& matrix, std::size_t tile, const std::uint8_t* rows, std::uint8_t* out) {
    const std::size_t first = tile * kTileRows, count = std::min(kTileRows, matrix.rows - first);
    // Sixteen columns at a time, so that what is written stays in the cache until its line is full.
    for (std::size_t start = 0; start < matrix.columns; start += 16) {
        const std::size_t end = std::min(start + 16, matrix.columns);
        for (std::size_t r = 0; r < count; ++r) {
            const std::uint8_t* source = rows + (first + r) * matrix.columns * sizeof(Element);
            for (std::size_t column = start; column < end; ++column) {
                std::memcpy(out + (column * kTileRows + r) * sizeof(Element), source + column * sizeof(Element),
                            sizeof(Element));
            }
        }
    }
}

}  // namespace

void pack(const Matrix& matrix, const std::uint8_t* rows, const std::uint8_t* block_scales, std::uint8_t* out) {
    std::memset(out, 0, matrix.bytes());
    for (std::size_t tile = 0; tile < matrix.tiles(); ++tile) {
        std::uint8_t* target = out + tile * matrix.tile_bytes();
        switch (matrix.format) {
            case Format::kFloat32: pack_tile<std::uint32_t>(matrix, tile, rows, target); break;
            case Format::kBfloat16: pack_tile<std::uint16_t>(matrix, tile, rows, target); break;
            case Format::kE4m3: pack_tile<std::uint8_t>(matrix, tile, rows, target); break;
            case Format::kNvfp4: pack_nvfp4_tile(matrix, tile, rows, block_scales, target); break;
        }
    }
}

}  // namespace trtnemo
