#include "plain_ops.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace trtnemo {

void Program::run(Machine& machine, const Step& step, bool is_timed) {
    using Clock = std::chrono::steady_clock;
    for (const std::unique_ptr<Op>& op : ops) {
        const Clock::time_point before = is_timed ? Clock::now() : Clock::time_point();
        step.only_caches && !op->feeds_cache ? op->fill_cache(machine, step) : op->run(machine, step);
        if (is_timed) op->seconds += std::chrono::duration<double>(Clock::now() - before).count();
    }
}

void EmbeddingOp::run(Machine& machine, const Step& step) {
    const std::size_t width = table_.columns, stride = padded(width);
    float* out = machine.rows(output_, step.tokens);
    machine.share(step.tokens, width / 8, [&](std::size_t token, std::size_t) {
        const auto row = static_cast<std::size_t>(step.token_ids[token]);
        float* target = out + token * stride;
        std::fill(target + width, target + stride, 0.0F);
        const bool is_wide = table_.format == Format::kFloat32;
        if (!is_tiled_) {
            const std::uint8_t* source = table_.data + row * width * (is_wide ? 4 : 2);
            if (is_wide) {
                std::memcpy(target, source, width * sizeof(float));
            } else {
                machine.kernels.widen_bfloat16(reinterpret_cast<const std::uint16_t*>(source), width, target);
            }
            return;
        }
        const std::uint8_t* tile = table_.tile(row / kTileRows);
        for (std::size_t column = 0; column < width; ++column) {
            const std::size_t place = column * kTileRows + row % kTileRows;
            if (is_wide) {
                std::memcpy(target + column, tile + place * 4, 4);
            } else {
                std::uint16_t bits;
                std::memcpy(&bits, tile + place * 2, 2);
                const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
                std::memcpy(target + column, &wide, 4);
            }
        }
    });
}

void RmsNormOp::run(Machine& machine, const Step& step) {
    const std::size_t count = row_count(input_, step), stride = padded(input_.width);
    const float* in = machine.rows(input_, count);
    float* out = machine.rows(output_, count);
    machine.share(count, input_.width / 8, [&](std::size_t row, std::size_t) {
        machine.kernels.rms_norm(in + row * stride, weight_, input_.width, epsilon_, out + row * stride);
    });
}

void Relu2Op::run(Machine& machine, const Step& step) {
    const std::size_t count = row_count(input_, step), stride = padded(input_.width);
    const float* in = machine.rows(input_, count);
    float* out = machine.rows(output_, count);
    machine.share(count, input_.width / 16, [&](std::size_t row, std::size_t) {
        machine.kernels.relu2(in + row * stride, stride, out + row * stride);
    });
}

void AddOp::run(Machine& machine, const Step& step) {
    const std::size_t count = row_count(left_, step), stride = padded(left_.width);
    const float* left = machine.rows(left_, count);
    const float* right = machine.rows(right_, count);
    float* out = machine.rows(output_, count);
    machine.share(count, left_.width / 16, [&](std::size_t row, std::size_t) {
        machine.kernels.add(left + row * stride, right + row * stride, stride, out + row * stride);
    });
}

void ConcatOp::run(Machine& machine, const Step& step) {
    const std::size_t count = row_count(output_, step), stride = padded(output_.width);
    float* out = machine.rows(output_, count);
    for (std::size_t row = 0; row < count; ++row) {
        float* target = out + row * stride;
        for (const Value& input : inputs_) {
            const float* source = machine.rows(input, count) + row * padded(input.width);
            target = std::copy(source, source + input.width, target);
        }
        std::fill(target, out + (row + 1) * stride, 0.0F);
    }
}

void SelectRowsOp::run(Machine& machine, const Step& step) {
    const std::size_t stride = padded(input_.width);
    const float* in = machine.rows(input_, step.tokens);
    float* out = machine.rows(output_, step.row_count);
    for (std::size_t row = 0; row < step.row_count; ++row) {
        const float* source = in + static_cast<std::size_t>(step.rows[row]) * stride;
        std::copy(source, source + stride, out + row * stride);
    }
}

}  // namespace trtnemo
