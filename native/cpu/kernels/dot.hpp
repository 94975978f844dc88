// A block's products with rows of activations, summed in whole numbers, which are exact in any order.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

// The blocks of some tiles at one place of their columns, and what a code of each row is worth.
template <std::size_t Tiles>
struct Blocks {
    Block codes[Tiles];
    Floats scales[Tiles];
};

#if defined(TRTNEMO_AVX2)
// Sixteen registers hold the sums of four rows, the columns of weights that meet them all, and one row's.
inline constexpr std::size_t kSumsAtOnce = 4;

inline Ints columns_at(const std::int8_t* codes, std::size_t number) {
    std::uint32_t columns;
    __builtin_memcpy(&columns, codes + sizeof(columns) * number, sizeof(columns));
    return broadcast_int(columns);
}

// Sums of 16 products stay below 4 * 2 * 24 * 128 = 24,576 while they are 16 bits wide.
//
// They are kept at each step: GCC makes all products first and adds them last, for which there are too few registers.
template <std::size_t Rows>
[[gnu::always_inline]] inline void dot_rows(const Block& block, const Block8* const (&x)[Rows], Ints (&sums)[Rows]) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < Rows; ++i) sums[i] = broadcast_int(0);
#pragma GCC unroll 4
    for (std::size_t quad = 0; quad < 4; ++quad) {
        const Ints weights = {block.low[quad], block.high[quad]};
#pragma GCC unroll 4
        for (std::size_t i = 0; i < Rows; ++i) {
            sums[i] = add_byte_products(sums[i], weights, columns_at(x[i]->codes, quad));
            keep(sums[i]);
        }
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < Rows; ++i) {
        sums[i] = broadcast_int(static_cast<std::uint32_t>(x[i]->start)) + sums_of_words(sums[i]);
    }
}
template <std::size_t Rows>
[[gnu::always_inline]] inline void dot_rows(const Block& block, const Block16* const (&x)[Rows], Ints (&sums)[Rows]) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < Rows; ++i) sums[i] = broadcast_int(static_cast<std::uint32_t>(x[i]->start));
#pragma GCC unroll 4
    for (std::size_t quad = 0; quad < 4; ++quad) {
        const Ints bytes = {block.low[quad], block.high[quad]};
        const Ints even = even_bytes(bytes), odd = odd_bytes(bytes);
#pragma GCC unroll 4
        for (std::size_t i = 0; i < Rows; ++i) {
            sums[i] = add_word_products(sums[i], even, columns_at(x[i]->codes, 2 * quad));
            keep(sums[i]);
        }
#pragma GCC unroll 4
        for (std::size_t i = 0; i < Rows; ++i) {
            sums[i] = add_word_products(sums[i], odd, columns_at(x[i]->codes, 2 * quad + 1));
            keep(sums[i]);
        }
    }
}

template <std::size_t First, std::size_t Rows, typename Activation>
[[gnu::always_inline]] inline void add_rows(const Blocks<1>& blocks, const Activation* const (&rows)[Rows],
                                            std::size_t number, Floats (&total)[Rows][1]) {
    constexpr std::size_t kCount = Rows - First < kSumsAtOnce ? Rows - First : kSumsAtOnce;
    const Activation* x[kCount];
    Ints sums[kCount];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kCount; ++i) x[i] = rows[First + i] + number;
    dot_rows(blocks.codes[0], x, sums);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kCount; ++i) {
        Floats& sum = total[First + i][0];
        sum = fma(to_floats(sums[i]), blocks.scales[0] * broadcast(x[i]->scale), sum);
    }
    if constexpr (First + kCount < Rows) add_rows<First + kCount>(blocks, rows, number, total);
}

template <std::size_t Rows, typename Activation>
[[gnu::always_inline]] inline void add_block(const Blocks<1>& blocks, const Activation* const (&rows)[Rows],
                                             std::size_t number, Floats (&total)[Rows][1]) {
    add_rows<0>(blocks, rows, number, total);
}
#else
template <std::size_t Tiles>
inline void dot(const Block (&blocks)[Tiles], const Block8& x, Ints (&sums)[Tiles]) {
    dot(blocks, x.codes, x.start, sums);
}
template <std::size_t Tiles>
inline void dot(const Block (&blocks)[Tiles], const Block16& x, Ints (&sums)[Tiles]) {
    Ints low[Tiles];
    dot(blocks, x.codes, 0, sums);
    dot(blocks, x.codes + kBlockColumns, x.start, low);
#pragma GCC unroll 2
    for (std::size_t j = 0; j < Tiles; ++j) sums[j] = times_256_plus(sums[j], low[j]);
}
#if defined(TRTNEMO_I8MM)
// The same of two rows at once.
inline IntPair dot_pair(const Block& block, const Block8& x, const Block8& y) {
    return dot_pair(block, x.codes, y.codes);
}
inline IntPair dot_pair(const Block& block, const Block16& x, const Block16& y) {
    const IntPair high = dot_pair(block, x.codes, y.codes);
    const IntPair low = dot_pair(block, x.codes + kBlockColumns, y.codes + kBlockColumns);
    return {times_256_plus(high.first, low.first), times_256_plus(high.second, low.second)};
}
#endif

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
#endif

}  // namespace trtnemo::TRTNEMO_KERNELS
