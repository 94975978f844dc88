// How packed weights lie in memory: tiles of 16 rows, the rows of a tile interleaved; one layout for every CPU.
//
// float32, bfloat16, e4m3: column after column, 16 rows each.
// nvfp4: groups of four blocks of 16 columns (the last may have fewer): 128 bytes of codes a block (see pack.cpp), then a
// scale byte a row and block; a full group is nine cache lines, so that a tile is one stream.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trtnemo {

// Elements of keys and values.
enum class CacheType : std::uint8_t { kFloat32, kFloat16, kE4m3 };

enum class Format : std::uint8_t { kFloat32, kBfloat16, kE4m3, kNvfp4 };

inline constexpr std::size_t kTileRows = 16;
inline constexpr std::size_t kBlockColumns = 16;
inline constexpr std::size_t kBlockBytes = kTileRows * kBlockColumns / 2;
inline constexpr std::size_t kGroupBlocks = 4;
inline constexpr std::size_t kGroupBytes = kGroupBlocks * (kBlockBytes + kTileRows);
inline constexpr std::size_t kAlignment = 64;

constexpr std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }
constexpr std::size_t padded(std::size_t width) { return round_up(width, kTileRows); }
constexpr std::size_t block_count(std::size_t columns) { return (columns + kBlockColumns - 1) / kBlockColumns; }

struct Matrix {
    Format format;
    std::size_t rows, columns;
    const std::uint8_t* data;
    float scale;  // what the sum of stored values is multiplied by

    std::size_t tiles() const { return (rows + kTileRows - 1) / kTileRows; }
    std::size_t blocks() const { return block_count(columns); }
    std::size_t tile_bytes() const {
        switch (format) {
            case Format::kFloat32: return columns * kTileRows * 4;
            case Format::kBfloat16: return round_up(columns * kTileRows * 2, kAlignment);
            case Format::kE4m3: return round_up(columns * kTileRows, kAlignment);
            case Format::kNvfp4: return round_up(blocks() * (kBlockBytes + kTileRows), kAlignment);
        }
        return 0;
    }
    std::size_t bytes() const { return tiles() * tile_bytes(); }
    const std::uint8_t* tile(std::size_t index) const { return data + index * tile_bytes(); }
};

}  // namespace trtnemo
