#include "linear_op.hpp"

#include <algorithm>

namespace trtnemo {

Activations prepare(Machine& machine, Scratch& memory, Format format, bool is_wide, const float* rows,
                    std::size_t width, std::size_t count) {
    Activations x{.values = rows, .stride = padded(width)};
    if (format != Format::kNvfp4) return x;
    x.block_stride = (width + kBlockColumns - 1) / kBlockColumns;
    if (is_wide) {
        Block16* blocks = memory.get<Block16>(count * x.block_stride);
        x.blocks16 = blocks;
        machine.share(count, width / 4, [&](std::size_t row, std::size_t) {
            machine.kernels.quantize16(rows + row * x.stride, width, blocks + row * x.block_stride);
        });
    } else {
        Block8* blocks = memory.get<Block8>(count * x.block_stride);
        x.blocks8 = blocks;
        machine.share(count, width / 4, [&](std::size_t row, std::size_t) {
            machine.kernels.quantize8(rows + row * x.stride, width, blocks + row * x.block_stride);
        });
    }
    return x;
}

std::size_t product_cost(const Matrix& matrix, std::size_t tiles, std::size_t count) {
    return tiles * (matrix.tile_bytes() / 16 + count * matrix.columns * kTileRows / 64);
}

void LinearOp::run(Machine& machine, const Step& step) {
    const std::size_t count = row_count(input_, step);
    if (count == 0) return;
    const float* in = machine.rows(input_, count);
    float* out = machine.rows(output_, count);
    const Activations x = prepare(machine, machine.activations, matrix_.format, is_wide_, in, input_.width, count);
    // Small enough that threads end together, large enough that a tile's neighbour is fetched ahead.
    const std::size_t tiles = matrix_.tiles();
    const std::size_t chunk = std::clamp<std::size_t>(tiles / (machine.threads.size() * 8) / 4 * 4, 4, 64);
    machine.share((tiles + chunk - 1) / chunk, product_cost(matrix_, chunk, count), [&](std::size_t item, std::size_t) {
        const std::size_t first = item * chunk, last = std::min(first + chunk, tiles);
        machine.kernels.multiply({.matrix = matrix_,
                                  .first_tile = first,
                                  .last_tile = last,
                                  .x = x,
                                  .row_of = nullptr,
                                  .count = count,
                                  .out = out + first * kTileRows,
                                  .out_stride = padded(output_.width)});
    });
}

}  // namespace trtnemo
