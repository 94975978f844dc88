#include "mamba2_op.hpp"

#include <algorithm>

#include "exact.hpp"
#include "op_registry.hpp"

namespace trtnemo {

namespace {
constexpr std::size_t kChannelsAtOnce = 256;
// The rows of so many tokens stay in a core's own cache while all parts of a head's state pass over them.
constexpr std::size_t kTokensAtOnce = 128;
}

struct Mamba2Op::Stretch {
    const float* rows;
    float* convolved;
    float* out;
    std::size_t tokens, position;
    float* state;
    bool keeps_state;
};

Mamba2Op::Mamba2Op(std::string name, Value input, Mamba2Sizes sizes, Mamba2Weights weights,
                   const Mamba2Kernels& kernels, Value output)
    : Op(std::move(name)), input_(input), sizes_(sizes), weights_(weights), kernels_(kernels), output_(output) {}

void Mamba2Op::run(Machine& machine, const Step& step) {
    const std::size_t in_stride = padded(input_.width), out_stride = padded(output_.width);
    const float* rows = machine.rows(input_, step.tokens);
    float* out = machine.rows(output_, step.tokens);
    float* convolved = machine.first.get<float>(step.tokens * sizes_.convolved_stride());
    std::vector<Stretch> stretches;
    for (const Segment& segment : *step.segments) {
        stretches.push_back({rows + segment.start * in_stride, convolved + segment.start * sizes_.convolved_stride(),
                             out + segment.start * out_stride, segment.length, segment.position,
                             state(*segment.sequence), !segment.is_speculative});
        if (segment.is_speculative) keep_rows(segment, stretches.back().rows, segment.length * in_stride);
    }
    mix(machine, stretches);
    machine.share(step.tokens, sizes_.inner() / 2, [&](std::size_t token, std::size_t) {
        std::fill(out + token * out_stride + output_.width, out + (token + 1) * out_stride, 0.0F);
        kernels_.gated_norm({.values = out + token * out_stride,
                                    .gate = rows + token * in_stride,
                                    .weight = weights_.norm,
                                    .width = sizes_.inner(),
                                    .groups = sizes_.groups,
                                    .epsilon = sizes_.epsilon});
    });
}

void Mamba2Op::advance(Machine& machine, Sequence& sequence, const float* rows, std::size_t count) {
    float* convolved = machine.first.get<float>(count * sizes_.convolved_stride());
    float* unread = machine.second.get<float>(count * padded(output_.width));
    mix(machine, {{rows, convolved, unread, count, sequence.length, state(sequence), true}});
}

void Mamba2Op::mix(Machine& machine, const std::vector<Stretch>& stretches) {
    const std::size_t channels = sizes_.channels(), parts = (channels + kChannelsAtOnce - 1) / kChannelsAtOnce;
    std::size_t tokens = 0;
    for (const Stretch& stretch : stretches) tokens += stretch.tokens;
    const std::size_t each = tokens / stretches.size() + 1;
    machine.share(stretches.size() * parts, each * kChannelsAtOnce / 2, [&](std::size_t item, std::size_t) {
        const Stretch& stretch = stretches[item / parts];
        const std::size_t first = item % parts * kChannelsAtOnce;
        kernels_.convolve({.input = stretch.rows + sizes_.inner(),
                                  .input_stride = padded(input_.width),
                                  .out = stretch.convolved,
                                  .out_stride = sizes_.convolved_stride(),
                                  .tokens = stretch.tokens,
                                  .first = first,
                                  .last = std::min(first + kChannelsAtOnce, channels),
                                  .channels = channels,
                                  .kernel = sizes_.kernel,
                                  .weight = weights_.convolution,
                                  .bias = weights_.bias,
                                  .state = stretch.state,
                                  .keeps_state = stretch.keeps_state});
    });
    const std::size_t cost = each * sizes_.head_floats() / 8;
    machine.share(stretches.size() * sizes_.heads, cost, [&](std::size_t item, std::size_t worker) {
        scan_head(machine, stretches[item / sizes_.heads], item % sizes_.heads, worker);
    });
}

void Mamba2Op::scan_head(Machine& machine, const Stretch& stretch, std::size_t head, std::size_t worker) const {
    const std::size_t tokens = stretch.tokens, group = head / (sizes_.heads / sizes_.groups);
    float* scratch = machine.workers[worker].get<float>(tokens * (kTileRows + 2));
    float* dt = scratch + tokens * kTileRows;
    float* decay = dt + tokens;
    const float rate = -exact_exp(weights_.a_log[head]);
    const float* raw = stretch.rows + sizes_.inner() + sizes_.channels() + head;
    for (std::size_t t = 0; t < tokens; ++t) {
        const float x = raw[t * padded(input_.width)] + weights_.dt_bias[head];
        dt[t] = exact_softplus(x);
        decay[t] = exact_exp(dt[t] * rate);
    }
    const float* b = stretch.convolved + sizes_.inner() + group * sizes_.state_size;
    ScanCall call{.x = stretch.convolved + head * sizes_.head_dim,
                  .b = b,
                  .c = b + sizes_.groups * sizes_.state_size,
                  .stride = sizes_.convolved_stride(),
                  .dt = dt,
                  .decay = decay,
                  .skip = weights_.skip[head],
                  .out = stretch.out + head * sizes_.head_dim,
                  .out_stride = padded(output_.width),
                  .tokens = tokens,
                  .head_dim = sizes_.head_dim,
                  .state_size = sizes_.state_size,
                  .state = stretch.state + padded(sizes_.convolution_floats()) + head * sizes_.head_floats(),
                  .scratch = scratch,
                  .keeps_state = stretch.keeps_state,
                  .is_half = sizes_.half_state,
                  .position = static_cast<std::uint32_t>(stretch.position),
                  .head = static_cast<std::uint32_t>(head),
                  .layer = static_cast<std::uint32_t>(state_number)};
    // A segment under verification leaves no state that a second part could go on from.
    const std::size_t at_once = stretch.keeps_state ? kTokensAtOnce : tokens;
    for (std::size_t first = 0; first < tokens; first += at_once) {
        call.tokens = std::min(at_once, tokens - first);
        kernels_.scan(call);
        call.skip_tokens(call.tokens);
    }
}

namespace {

std::unique_ptr<Op> make_mamba2(const OpSite& site) {
    const Mamba2Sizes sizes{site.size("heads"), site.size("head_dim"), site.size("groups"), site.size("state_size"),
                            site.size("kernel"), site.number("epsilon"), site.flag("half_state")};
    require(sizes.groups > 0 && sizes.heads % sizes.groups == 0 && sizes.kernel > 0, "mamba2's sizes do not divide");
    require(site.input(0).width == sizes.input_width() && site.output.width == sizes.inner(), "mamba2's sizes differ");
    const Mamba2Weights weights{site.vector("conv_weight", sizes.kernel * sizes.channels()),
                                site.has_vector("conv_bias") ? site.vector("conv_bias", sizes.channels()) : nullptr,
                                site.vector("A_log", sizes.heads), site.vector("D", sizes.heads),
                                site.vector("dt_bias", sizes.heads), site.vector("norm_weight", sizes.inner())};
    const auto* kernels = static_cast<const Mamba2Kernels*>(find_kernels("mamba2", site.kernels.name));
    return std::make_unique<Mamba2Op>(site.name, site.input(0), sizes, weights, *kernels, site.output);
}

const RegisterOp kRegistered("mamba2", make_mamba2);

}  // namespace

}  // namespace trtnemo
