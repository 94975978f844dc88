#include "linear_op.hpp"

#include <algorithm>

namespace trtnemo {

namespace {

// Where rounded rows lie, whether they are there yet or not.
Activations place(const std::uint8_t* memory, Format format, bool is_wide, const float* rows, std::size_t width) {
    Activations x{.values = rows, .stride = padded(width)};
    if (format != Format::kNvfp4) return x;
    x.block_stride = block_count(width);
    if (is_wide) {
        x.blocks16 = reinterpret_cast<const Block16*>(memory);
    } else {
        x.blocks8 = reinterpret_cast<const Block8*>(memory);
    }
    return x;
}

}  // namespace

std::size_t round_bytes(Format format, bool is_wide, std::size_t width) {
    return format == Format::kNvfp4 ? block_count(width) * (is_wide ? sizeof(Block16) : sizeof(Block8)) : 0;
}

Activations round_here(const Kernels& kernels, std::uint8_t* memory, Format format, bool is_wide, const float* rows,
                       std::size_t width, std::size_t count) {
    const std::size_t each = round_bytes(format, is_wide, width);
    for (std::size_t row = 0; each && row < count; ++row) {
        const float* values = rows + row * padded(width);
        std::uint8_t* blocks = memory + row * each;
        is_wide ? kernels.quantize16(values, width, reinterpret_cast<Block16*>(blocks))
                : kernels.quantize8(values, width, reinterpret_cast<Block8*>(blocks));
    }
    return place(memory, format, is_wide, rows, width);
}

Activations prepare(Machine& machine, Scratch& memory, Format format, bool is_wide, const float* rows,
                    std::size_t width, std::size_t count) {
    const std::size_t each = round_bytes(format, is_wide, width);
    if (!each) return place(nullptr, format, is_wide, rows, width);
    std::uint8_t* blocks = memory.get<std::uint8_t>(count * each);
    machine.share(count, width / 4, [&](std::size_t row, std::size_t) {
        round_here(machine.kernels, blocks + row * each, format, is_wide, rows + row * padded(width), width, 1);
    });
    return place(blocks, format, is_wide, rows, width);
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
    // Small enough that threads end together, large enough that little of it is read before reading ahead has begun.
    const std::size_t tiles = matrix_.tiles();
    const std::size_t chunk = std::clamp<std::size_t>(tiles / (machine.threads.size() * 4) / 4 * 4, 4, 512);
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
