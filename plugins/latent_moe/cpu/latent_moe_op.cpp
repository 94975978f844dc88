#include "latent_moe_op.hpp"

#include <algorithm>

#include "linear_op.hpp"

namespace trtnemo {

namespace {
// Pairs of token and expert at once: bounds the memory of the experts' inner rows, whatever the step's size.
constexpr std::size_t kPairsAtOnce = 4096;
}  // namespace

LatentMoeOp::LatentMoeOp(std::string name, Value logits, Value rows, RoutingSizes sizes, const float* correction_bias,
                         Bank up, Bank down, bool is_wide, Value output)
    : Op(std::move(name)), logits_(logits), rows_(rows), sizes_(sizes), correction_bias_(correction_bias),
      up_(std::move(up)), down_(std::move(down)), is_wide_(is_wide), output_(output) {}

void LatentMoeOp::run(Machine& machine, const Step& step) {
    const float* logits = machine.rows(logits_, step.tokens);
    const float* rows = machine.rows(rows_, step.tokens);
    float* out = machine.rows(output_, step.tokens);
    const std::size_t at_once = std::max<std::size_t>(1, kPairsAtOnce / sizes_.top_k);
    for (std::size_t first = 0; first < step.tokens; first += at_once) {
        run_rows(machine, logits + first * padded(logits_.width), rows + first * padded(rows_.width),
                 std::min(at_once, step.tokens - first), out + first * padded(output_.width));
    }
}

void LatentMoeOp::run_rows(Machine& machine, const float* logits, const float* rows, std::size_t count, float* out) {
    pick(machine, logits, count);
    group(count);
    const float* hidden = multiply_up(machine, rows, count);
    multiply_down(machine, hidden, count, out);
}

void LatentMoeOp::pick(Machine& machine, const float* logits, std::size_t count) {
    const std::size_t stride = padded(sizes_.experts);
    picks_.resize(count * sizes_.top_k);
    machine.share(count, sizes_.experts * 4, [&](std::size_t token, std::size_t worker) {
        float* scores = machine.workers[worker].get<float>(3 * stride);
        auto* order = reinterpret_cast<std::uint32_t*>(scores + 2 * stride);
        machine.kernels.sigmoid(logits + token * stride, stride, scores);
        route(sizes_, scores, correction_bias_, scores + stride, order, picks_.data() + token * sizes_.top_k);
    });
}

void LatentMoeOp::group(std::size_t count) {
    std::vector<std::uint32_t> sizes(sizes_.experts, 0);
    for (const Pick& pick : picks_) ++sizes[pick.expert];
    groups_.clear();
    std::vector<std::uint32_t> next(sizes_.experts, 0);
    std::uint32_t total = 0;
    for (std::uint32_t expert = 0; expert < sizes_.experts; ++expert) {
        next[expert] = total;
        if (sizes[expert]) groups_.push_back({expert, total, sizes[expert]});
        total += sizes[expert];
    }
    pair_tokens_.resize(total);
    pair_weights_.resize(total);
    for (std::size_t token = 0; token < count; ++token) {
        for (std::size_t k = 0; k < sizes_.top_k; ++k) {
            const Pick& pick = picks_[token * sizes_.top_k + k];
            const std::uint32_t pair = next[pick.expert]++;
            pair_tokens_[pair] = static_cast<std::uint32_t>(token);
            pair_weights_[pair] = pick.weight;
        }
    }
}

const float* LatentMoeOp::multiply_up(Machine& machine, const float* rows, std::size_t count) {
    const Matrix& matrix = up_.first;
    const std::size_t stride = padded(matrix.rows), tiles = matrix.tiles();
    const Activations x =
        prepare(machine, machine.activations, matrix.format, is_wide_, rows, matrix.columns, count);
    float* hidden = machine.first.get<float>(pair_tokens_.size() * stride);
    const std::size_t each = pair_tokens_.size() / groups_.size() + 1;
    const std::size_t parts = std::clamp<std::size_t>(machine.threads.size() * 4 / groups_.size(), 1, tiles);
    machine.share(groups_.size() * parts, product_cost(matrix, tiles / parts + 1, each), [&](std::size_t item, std::size_t) {
        const Group& group = groups_[item / parts];
        const std::size_t first = item % parts * tiles / parts, last = (item % parts + 1) * tiles / parts;
        float* target = hidden + group.first * stride + first * kTileRows;
        machine.kernels.multiply({.matrix = up_.expert(group.expert),
                                  .first_tile = first,
                                  .last_tile = last,
                                  .x = x,
                                  .row_of = pair_tokens_.data() + group.first,
                                  .count = group.count,
                                  .out = target,
                                  .out_stride = stride});
        for (std::size_t i = 0; i < group.count; ++i) {
            machine.kernels.relu2(target + i * stride, (last - first) * kTileRows, target + i * stride);
        }
    });
    return hidden;
}

// Every item owns some columns of the result, and adds up a token's experts in ascending order.
void LatentMoeOp::multiply_down(Machine& machine, const float* hidden, std::size_t count, float* out) {
    const Matrix& matrix = down_.first;
    const std::size_t stride = padded(output_.width), tiles = matrix.tiles();
    const std::size_t pairs = pair_tokens_.size();
    const Activations x =
        prepare(machine, machine.activations, matrix.format, is_wide_, hidden, matrix.columns, pairs);
    std::fill(out, out + count * stride, 0.0F);
    const std::size_t chunk = std::max<std::size_t>(1, tiles / (machine.threads.size() * 4));
    const std::size_t cost = product_cost(matrix, chunk, 1) * pairs;
    machine.share((tiles + chunk - 1) / chunk, cost, [&](std::size_t item, std::size_t worker) {
        const std::size_t first = item * chunk, last = std::min(first + chunk, tiles);
        const std::size_t width = (last - first) * kTileRows;
        for (const Group& group : groups_) {
            float* products = machine.workers[worker].get<float>(group.count * width);
            machine.kernels.multiply({.matrix = down_.expert(group.expert),
                                      .first_tile = first,
                                      .last_tile = last,
                                      .x = x.from_row(group.first),
                                      .row_of = nullptr,
                                      .count = group.count,
                                      .out = products,
                                      .out_stride = width});
            for (std::size_t i = 0; i < group.count; ++i) {
                const std::uint32_t token = pair_tokens_[group.first + i];
                machine.kernels.add_scaled(products + i * width, pair_weights_[group.first + i], width,
                                           out + token * stride + first * kTileRows);
            }
        }
    });
}

namespace {

std::unique_ptr<Op> make_latent_moe(const OpSite& site) {
    const RoutingSizes sizes{site.size("experts"),    site.size("top_k"),     site.size("groups"),
                             site.size("top_groups"), site.flag("normalize"), site.number("scaling_factor")};
    require(sizes.top_k > 0 && sizes.top_k <= sizes.experts && sizes.groups > 0 && sizes.experts % sizes.groups == 0 &&
                sizes.top_groups <= sizes.groups && sizes.top_k <= sizes.experts / sizes.groups * sizes.top_groups,
            "latent_moe's sizes do not divide");
    Bank up = site.bank("up", sizes.experts), down = site.bank("down", sizes.experts);
    const Value& logits = site.input(0);
    const Value& rows = site.input(1);
    require(logits.width == sizes.experts && rows.width == up.first.columns && up.first.rows == down.first.columns &&
                site.output.width == down.first.rows,
            "latent_moe's sizes differ");
    return std::make_unique<LatentMoeOp>(site.name, logits, rows, sizes, site.vector("correction_bias", sizes.experts),
                                         std::move(up), std::move(down), site.flag("wide_activations"), site.output);
}

const RegisterOp kRegistered("latent_moe", make_latent_moe);

}  // namespace

}  // namespace trtnemo
