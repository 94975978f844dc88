// Packed weights times rows of activations.
#pragma once

#include "dot.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

// How many rows of activations one pass over a tile serves.
inline constexpr std::size_t kRowsAtOnce = 8;
// The same of rows of floats and so many tiles at once, whose sums all stay in registers: one that does not makes every
// column wait for memory.
template <Format kFormat>
constexpr std::size_t rows_with(std::size_t tiles) {
#if defined(TRTNEMO_AVX512)
    return tiles == 4 ? 2 : 8;
#else
    const std::size_t two = kFormat == Format::kFloat32 ? 3 : 2;  // those weights need no register of their own
    return tiles == 4 ? 1 : tiles == 2 ? two : 6;
#endif
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

// Inline always: GCC takes a call of it for one that does nothing, and leaves it out.
[[gnu::always_inline]] inline void fetch(const std::uint8_t* data, std::size_t bytes) {
    for (std::size_t line = 0; line < bytes; line += kAlignment) __builtin_prefetch(data + line);
}

template <std::size_t Rows, std::size_t Tiles, typename Activation>
[[gnu::always_inline]] inline void add_blocks(const std::uint8_t* const (&groups)[Tiles], std::size_t count,
                                              std::size_t ahead, const Activation* const (&rows)[Rows],
                                              std::size_t first, Floats (&total)[Rows][Tiles]) {
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
            __builtin_prefetch(tiles[j] + column * kColumnBytes<kFormat> + kFloatsAhead);
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

// Runs `pass.template operator()<Rows>(first)` for `count` rows, which are at most `Most`.
template <std::size_t Most, typename Pass>
void for_rows(std::size_t count, std::size_t first, Pass& pass) {
    if (count == Most) return pass.template operator()<Most>(first);
    if constexpr (Most > 1) for_rows<Most - 1>(count, first, pass);
}

// The same for all rows, at most `Most` at a time, and about as many each time.
template <std::size_t Most, typename Pass>
void for_each_rows(std::size_t count, Pass pass) {
    std::size_t first = 0;
    for (std::size_t left = (count + Most - 1) / Most; left > 0; --left) {
        const std::size_t rows = (count - first + left - 1) / left;
        for_rows<Most>(rows, first, pass);
        first += rows;
    }
}

template <Format kFormat, std::size_t Tiles>
std::size_t multiply_float_from(std::size_t tile, const Product& product) {
    for (; tile + Tiles <= product.last_tile; tile += Tiles) {
        for_each_rows<rows_with<kFormat>(Tiles)>(product.count, [&]<std::size_t Rows>(std::size_t first) {
            multiply_float_tiles<kFormat, Rows, Tiles>(product, tile, first);
        });
    }
    return tile;
}

template <Format kFormat>
void multiply_float(const Product& product) {
    std::size_t tile = product.first_tile;
    constexpr bool kPairsAlways = rows_with<kFormat>(2) == rows_with<kFormat>(1);
    if (product.count <= rows_with<kFormat>(4)) tile = multiply_float_from<kFormat, 4>(tile, product);
    if (kPairsAlways || product.count <= rows_with<kFormat>(2)) tile = multiply_float_from<kFormat, 2>(tile, product);
    multiply_float_from<kFormat, 1>(tile, product);
}

template <typename Activation>
void multiply_nvfp4(const Product& product) {
    std::size_t tile = product.first_tile;
    // Each piece of work begins where nobody has read ahead yet.
    fetch(product.matrix.tile(tile), kAhead);
#if defined(TRTNEMO_AVX512)  // the others have too few registers
    // Two tiles share what is read of a row. Few rows wait for memory, which gives most in one stream.
    for (; product.count > 2 && tile + 2 <= product.last_tile; tile += 2) {
        for_each_rows<kRowsAtOnce>(product.count, [&]<std::size_t Rows>(std::size_t first) {
            multiply_nvfp4_tiles<Rows, 2, Activation>(product, tile, first);
        });
    }
#endif
    for (; tile < product.last_tile; ++tile) {
        for_each_rows<kRowsAtOnce>(product.count, [&]<std::size_t Rows>(std::size_t first) {
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
