#include "latent_moe_op.hpp"

#include <algorithm>

#include "linear_op.hpp"

namespace trtnemo {

namespace {
// Pairs of token and expert at once: bounds the memory of the experts' inner rows, whatever the step's size.
constexpr std::size_t kPairsAtOnce = 4096;
// Pairs of one expert at once: their inner rows stay in a core's own cache between the expert's two matrices.
constexpr std::size_t kPairsOfExpert = 64;
// From so many groups a thread on, each thread takes whole experts: with fewer, some would end long before the others.
constexpr std::size_t kGroupsOfThread = 8;
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
    const Matrix& up = up_.first;
    const Activations x = prepare(machine, machine.activations, up.format, is_wide_, rows, up.columns, count);
    float* products = machine.second.get<float>(pair_tokens_.size() * padded(down_.first.rows));
    if (groups_.size() >= machine.threads.size() * kGroupsOfThread) {
        run_whole(machine, x, products);
    } else {
        multiply_down(machine, multiply_up(machine, x), products);
    }
    add_up(machine, products, count, out);
}

// Each thread takes one expert after the other through both matrices.
void LatentMoeOp::run_whole(Machine& machine, const Activations& x, float* products) {
    const std::size_t cost = 2 * product_cost(up_.first, up_.first.tiles(), 1);
    machine.share(groups_.size(), cost, [&](std::size_t item, std::size_t worker) {
        run_group(machine.kernels, machine.workers[worker], x, groups_[item], products);
    });
}

void LatentMoeOp::run_group(const Kernels& kernels, Scratch& memory, const Activations& x, const Group& group,
                            float* products) {
    const Matrix up = up_.expert(group.expert), down = down_.expert(group.expert);
    const std::size_t width = padded(up.rows), stride = padded(down.rows);
    const std::size_t bytes = width * sizeof(float) + round_bytes(down.format, is_wide_, down.columns);
    float* hidden = memory.get<float>(std::min<std::size_t>(kPairsOfExpert, group.count) * bytes / sizeof(float));
    for (std::size_t done = 0; done < group.count; done += kPairsOfExpert) {
        const std::size_t first = group.first + done, count = std::min(kPairsOfExpert, group.count - done);
        kernels.multiply({.matrix = up, .first_tile = 0, .last_tile = up.tiles(), .x = x,
                          .row_of = pair_tokens_.data() + first, .count = count, .out = hidden, .out_stride = width});
        for (std::size_t i = 0; i < count; ++i) kernels.relu2(hidden + i * width, width, hidden + i * width);
        auto* rounded = reinterpret_cast<std::uint8_t*>(hidden + count * width);
        const Activations inner = round_here(kernels, rounded, down.format, is_wide_, hidden, down.columns, count);
        kernels.multiply({.matrix = down, .first_tile = 0, .last_tile = down.tiles(), .x = inner, .row_of = nullptr,
                          .count = count, .out = products + first * stride, .out_stride = stride});
    }
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
    pair_of_.resize(total);
    for (std::size_t pick = 0; pick < count * sizes_.top_k; ++pick) {
        pair_of_[pick] = next[picks_[pick].expert]++;
        pair_tokens_[pair_of_[pick]] = static_cast<std::uint32_t>(pick / sizes_.top_k);
    }
}

// Multiplies the rows of every group with its expert; `finish` sees what one item made: its first pair's row, and a width.
template <typename Finish>
void LatentMoeOp::multiply_groups(Machine& machine, const Bank& bank, const Activations& x, const std::uint32_t* row_of,
                                  float* out, const Finish& finish) {
    const std::size_t stride = padded(bank.first.rows), tiles = bank.first.tiles();
    const std::size_t each = pair_tokens_.size() / groups_.size() + 1;
    const std::size_t parts = std::clamp<std::size_t>(machine.threads.size() * 4 / groups_.size(), 1, tiles);
    const std::size_t cost = product_cost(bank.first, tiles / parts + 1, each);
    machine.share(groups_.size() * parts, cost, [&](std::size_t item, std::size_t) {
        const Group& group = groups_[item / parts];
        const std::size_t first = item % parts * tiles / parts, last = (item % parts + 1) * tiles / parts;
        float* target = out + group.first * stride + first * kTileRows;
        machine.kernels.multiply({.matrix = bank.expert(group.expert),
                                  .first_tile = first,
                                  .last_tile = last,
                                  .x = row_of ? x : x.from_row(group.first),
                                  .row_of = row_of ? row_of + group.first : nullptr,
                                  .count = group.count,
                                  .out = target,
                                  .out_stride = stride});
        for (std::size_t i = 0; i < group.count; ++i) finish(target + i * stride, (last - first) * kTileRows);
    });
}

const float* LatentMoeOp::multiply_up(Machine& machine, const Activations& x) {
    float* hidden = machine.first.get<float>(pair_tokens_.size() * padded(up_.first.rows));
    multiply_groups(machine, up_, x, pair_tokens_.data(), hidden, [&](float* row, std::size_t width) {
        machine.kernels.relu2(row, width, row);
    });
    return hidden;
}

void LatentMoeOp::multiply_down(Machine& machine, const float* hidden, float* products) {
    const Matrix& matrix = down_.first;
    const std::size_t pairs = pair_tokens_.size();
    const Activations x = prepare(machine, machine.activations, matrix.format, is_wide_, hidden, matrix.columns, pairs);
    multiply_groups(machine, down_, x, nullptr, products, [](float*, std::size_t) {});
}

// A token's experts are added in ascending order, whichever was ready first.
void LatentMoeOp::add_up(Machine& machine, const float* products, std::size_t count, float* out) {
    const std::size_t stride = padded(output_.width), top_k = sizes_.top_k;
    machine.share(count, top_k * stride / 16, [&](std::size_t token, std::size_t) {
        float* row = out + token * stride;
        std::fill(row, row + stride, 0.0F);
        for (std::size_t pick = token * top_k; pick < (token + 1) * top_k; ++pick) {
            machine.kernels.add_scaled(products + pair_of_[pick] * stride, picks_[pick].weight, stride, row);
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
