// Packed weights times rows of activations.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

// How many rows of activations one pass over a tile serves.
inline constexpr std::size_t kRowsAtOnce = 8;

template <std::size_t Tiles>
inline void dot(const Block (&blocks)[Tiles], const Block8& x, Ints (&sums)[Tiles]) {
    dot(blocks, x.codes, x.start, sums);
}
template <std::size_t Tiles>
inline void dot(const Block (&blocks)[Tiles], const Block16& x, Ints (&sums)[Tiles]) {
    Ints low[Tiles];
    dot(blocks, x.high, 0, sums);
    dot(blocks, x.low, x.start, low);
#pragma GCC unroll 2
    for (std::size_t j = 0; j < Tiles; ++j) sums[j] = times_256_plus(sums[j], low[j]);
}
#if defined(TRTNEMO_I8MM)
// The same of two rows at once.
inline IntPair dot_pair(const Block& block, const Block8& x, const Block8& y) {
    return dot_pair(block, x.codes, y.codes);
}
inline IntPair dot_pair(const Block& block, const Block16& x, const Block16& y) {
    const IntPair high = dot_pair(block, x.high, y.high), low = dot_pair(block, x.low, y.low);
    return {times_256_plus(high.first, low.first), times_256_plus(high.second, low.second)};
}
#endif

// The blocks of some tiles at one place of their columns, and what a code of each row is worth.
template <std::size_t Tiles>
struct Blocks {
    Block codes[Tiles];
    Floats scales[Tiles];
};

template <std::size_t Rows, std::size_t Tiles, typename Activation>
inline void add_block(const Blocks<Tiles>& blocks, const Activation* const (&rows)[Rows], std::size_t number,
                      Floats (&total)[Rows][Tiles]) {
    std::size_t i = 0;
#if defined(TRTNEMO_I8MM)
    for (; i + 2 <= Rows; i += 2) {
        const Activation &x = rows[i][number], &y = rows[i + 1][number];
        for (std::size_t j = 0; j < Tiles; ++j) {
            const IntPair sums = dot_pair(blocks.codes[j], x, y);
            total[i][j] = fma(to_floats(sums.first), blocks.scales[j] * broadcast(x.scale), total[i][j]);
            total[i + 1][j] = fma(to_floats(sums.second), blocks.scales[j] * broadcast(y.scale), total[i + 1][j]);
        }
    }
#endif
#pragma GCC unroll 8
    for (; i < Rows; ++i) {
        const Activation& x = rows[i][number];
        Ints sums[Tiles];
        dot(blocks.codes, x, sums);
#pragma GCC unroll 2
        for (std::size_t j = 0; j < Tiles; ++j) {
            total[i][j] = fma(to_floats(sums[j]), blocks.scales[j] * broadcast(x.scale), total[i][j]);
        }
    }
}

inline const Block8* blocks_of(const Activations& x, std::size_t row, const Block8*) {
    return x.blocks8 + row * x.block_stride;
}
inline const Block16* blocks_of(const Activations& x, std::size_t row, const Block16*) {
    return x.blocks16 + row * x.block_stride;
}
inline std::size_t row_at(const Product& product, std::size_t i) { return product.row_of ? product.row_of[i] : i; }

// Bytes ahead of what is read, so that weights are on their way across page boundaries, where the machine's own
// prefetching stops: as far as memory takes time to answer, less where several tiles are read at once.
inline constexpr std::size_t kAhead = 8192, kFloatsAhead = 2048;

inline void fetch(const std::uint8_t* data, std::size_t bytes) {
    for (std::size_t line = 0; line < bytes; line += kAlignment) __builtin_prefetch(data + line);
}

template <std::size_t Rows, std::size_t Tiles, typename Activation>
inline void add_blocks(const std::uint8_t* const (&groups)[Tiles], std::size_t count, std::size_t ahead,
                       const Activation* const (&rows)[Rows], std::size_t first, Floats (&total)[Rows][Tiles]) {
    for (const std::uint8_t* group : groups) fetch(group + ahead, kGroupBytes);
    for (std::size_t b = 0; b < count; ++b) {
        Blocks<Tiles> blocks;
#pragma GCC unroll 2
        for (std::size_t j = 0; j < Tiles; ++j) {
            blocks.codes[j] = unpack_block(groups[j] + b * kBlockBytes);
            blocks.scales[j] = load_block_scale(groups[j] + count * kBlockBytes + b * kTileRows);
        }
        add_block(blocks, rows, first + b, total);
    }
}

template <std::size_t Rows, std::size_t Tiles, typename Activation>
void multiply_nvfp4_tiles(const Product& product, std::size_t tile, std::size_t first) {
    const std::size_t blocks = product.matrix.blocks();
    const std::uint8_t* groups[Tiles];
    const Activation* rows[Rows];
    Floats total[Rows][Tiles];
    for (std::size_t j = 0; j < Tiles; ++j) groups[j] = product.matrix.tile(tile + j);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Rows; ++i) {
        rows[i] = blocks_of(product.x, row_at(product, first + i), static_cast<const Activation*>(nullptr));
#pragma GCC unroll 2
        for (std::size_t j = 0; j < Tiles; ++j) total[i][j] = broadcast(0.0F);
    }
    // What follows a tile is its neighbour's, which is read beside it: the next to be read lies behind all of them.
    const std::size_t own = product.matrix.tile_bytes(), others = (Tiles - 1) * own;
    std::size_t b = 0;
    for (std::size_t ahead = kAhead; b + kGroupBlocks <= blocks; b += kGroupBlocks) {
        ahead += kGroupBytes;
        add_blocks(groups, kGroupBlocks, ahead > own ? kAhead + others : kAhead, rows, b, total);
        for (const std::uint8_t*& group : groups) group += kGroupBytes;
    }
    add_blocks(groups, blocks - b, kAhead + others, rows, b, total);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
        for (std::size_t j = 0; j < Tiles; ++j) {
            store(product.out + (first + i) * product.out_stride + (tile + j - product.first_tile) * kTileRows,
                  total[i][j] * broadcast(product.matrix.scale));
        }
    }
}

template <Format kFormat>
inline Floats load_weights(const std::uint8_t* tile, std::size_t column) {
    const std::size_t place = column * kTileRows;
    if constexpr (kFormat == Format::kFloat32) return load(reinterpret_cast<const float*>(tile) + place);
    if constexpr (kFormat == Format::kBfloat16) {
        return load_bfloat16(reinterpret_cast<const std::uint16_t*>(tile) + place);
    }
    if constexpr (kFormat == Format::kE4m3) return load_e4m3(tile + place);
}

template <Format kFormat>
inline constexpr std::size_t kColumnBytes = kTileRows * (kFormat == Format::kFloat32 ? 4 : kFormat == Format::kBfloat16 ? 2 : 1);

// Several tiles at once where there are few rows: the sum of one tile waits for itself at every column.
template <Format kFormat, std::size_t Rows, std::size_t Tiles>
void multiply_float_tiles(const Product& product, std::size_t tile, std::size_t first) {
    const float* rows[Rows];
    const std::uint8_t* tiles[Tiles];
    Floats total[Rows][Tiles];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Rows; ++i) {
        rows[i] = product.x.values + row_at(product, first + i) * product.x.stride;
#pragma GCC unroll 4
        for (std::size_t j = 0; j < Tiles; ++j) total[i][j] = broadcast(0.0F);
    }
    for (std::size_t j = 0; j < Tiles; ++j) tiles[j] = product.matrix.tile(tile + j);
    for (std::size_t column = 0; column < product.matrix.columns; ++column) {
#pragma GCC unroll 4
        for (std::size_t j = 0; j < Tiles; ++j) {
            const Floats weights = load_weights<kFormat>(tiles[j], column);
            if constexpr (Tiles > 1) __builtin_prefetch(tiles[j] + column * kColumnBytes<kFormat> + kFloatsAhead);
#pragma GCC unroll 8
            for (std::size_t i = 0; i < Rows; ++i) total[i][j] = fma(weights, broadcast(rows[i][column]), total[i][j]);
        }
    }
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
        for (std::size_t j = 0; j < Tiles; ++j) {
            store(product.out + (first + i) * product.out_stride + (tile + j - product.first_tile) * kTileRows,
                  total[i][j] * broadcast(product.matrix.scale));
        }
    }
}

// Runs `pass.template operator()<Rows>(first)` over all rows, eight at a time, then the rest.
template <typename Pass>
void for_each_rows(std::size_t count, Pass pass) {
    std::size_t first = 0;
    for (; first + kRowsAtOnce <= count; first += kRowsAtOnce) pass.template operator()<kRowsAtOnce>(first);
    switch (count - first) {
        case 1: return pass.template operator()<1>(first);
        case 2: return pass.template operator()<2>(first);
        case 3: return pass.template operator()<3>(first);
        case 4: return pass.template operator()<4>(first);
        case 5: return pass.template operator()<5>(first);
        case 6: return pass.template operator()<6>(first);
        case 7: return pass.template operator()<7>(first);
        default: return;
    }
}

template <Format kFormat>
void multiply_float(const Product& product) {
    std::size_t tile = product.first_tile;
    if (product.count <= 2) {
        for (; tile + 4 <= product.last_tile; tile += 4) {
            product.count == 1 ? multiply_float_tiles<kFormat, 1, 4>(product, tile, 0)
                               : multiply_float_tiles<kFormat, 2, 4>(product, tile, 0);
        }
    } else if (product.count <= 4) {
        for (; tile + 2 <= product.last_tile; tile += 2) {
            product.count == 3 ? multiply_float_tiles<kFormat, 3, 2>(product, tile, 0)
                               : multiply_float_tiles<kFormat, 4, 2>(product, tile, 0);
        }
    }
#if defined(TRTNEMO_AVX512)  // the others have too few registers for sixteen sums
    if (product.count > 4) {
        for (; tile + 2 <= product.last_tile; tile += 2) {
            for_each_rows(product.count, [&]<std::size_t Rows>(std::size_t first) {
                multiply_float_tiles<kFormat, Rows, 2>(product, tile, first);
            });
        }
    }
#endif
    for (; tile < product.last_tile; ++tile) {
        for_each_rows(product.count, [&]<std::size_t Rows>(std::size_t first) {
            multiply_float_tiles<kFormat, Rows, 1>(product, tile, first);
        });
    }
}

template <typename Activation>
void multiply_nvfp4(const Product& product) {
    std::size_t tile = product.first_tile;
    // Each piece of work begins where nobody has read ahead yet.
    fetch(product.matrix.tile(tile), kAhead);
#if defined(TRTNEMO_AVX512)  // the others have too few registers
    // Two tiles share what is read of a row. Few rows wait for memory, which gives most in one stream.
    for (; product.count > 2 && tile + 2 <= product.last_tile; tile += 2) {
        for_each_rows(product.count, [&]<std::size_t Rows>(std::size_t first) {
            multiply_nvfp4_tiles<Rows, 2, Activation>(product, tile, first);
        });
    }
#endif
    for (; tile < product.last_tile; ++tile) {
        for_each_rows(product.count, [&]<std::size_t Rows>(std::size_t first) {
            multiply_nvfp4_tiles<Rows, 1, Activation>(product, tile, first);
        });
    }
}

inline void multiply(const Product& product) {
    switch (product.matrix.format) {
        case Format::kFloat32: return multiply_float<Format::kFloat32>(product);
        case Format::kBfloat16: return multiply_float<Format::kBfloat16>(product);
        case Format::kE4m3: return multiply_float<Format::kE4m3>(product);
        case Format::kNvfp4:
            return product.x.blocks8 ? multiply_nvfp4<Block8>(product) : multiply_nvfp4<Block16>(product);
    }
}

}  // namespace trtnemo::TRTNEMO_KERNELS
