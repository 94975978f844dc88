#include "executor.hpp"

#include <algorithm>
#include <stdexcept>

namespace trtnemo {

namespace {

// What waits for the MTP head at most, unless it drafts before: one pass over its weights serves many tokens, and those of
// a sequence that never drafts may be spared it.
constexpr std::size_t kUnfedBytes = 256U << 10;
constexpr std::size_t kUnfedTokens = 32;  // at least

bool is_full(std::size_t tokens, std::size_t width) {
    return tokens >= kUnfedTokens && tokens * padded(width) * sizeof(float) >= kUnfedBytes;
}

}  // namespace

Executor::Executor(const Kernels& kernels, const ExecutorSizes& sizes)
    : machine_(kernels, std::max<std::size_t>(1, sizes.threads),
               std::make_shared<PagePool>(sizes.page_layout, sizes.pages)),
      slots_(sizes.slots) {}

GraphProgram& Executor::add_mtp() {
    mtp_ = std::make_unique<GraphProgram>();
    return *mtp_;
}

std::size_t Executor::reserve_state(std::size_t floats) {
    const std::size_t offset = state_floats_;
    state_floats_ += padded(floats);
    return offset;
}

void Executor::open_slots() {
    states_ = MappedMemory(std::max<std::size_t>(1, slots_.size() * state_floats_) * sizeof(float));
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
        slots_[slot].states = states_.as<float>() + slot * state_floats_;
    }
    std::size_t buffers = 0;
    for (const GraphProgram* graph : {static_cast<const GraphProgram*>(&target_), static_cast<const GraphProgram*>(mtp_.get())}) {
        if (!graph) continue;
        for (const Value& value : graph->program.values) buffers = std::max(buffers, value.buffer + 1);
    }
    machine_.buffers = std::vector<Scratch>(buffers);
}

std::size_t Executor::vocabulary() const { return target_.program.values.at(target_.logits_output).width; }
std::size_t Executor::hidden_width() const { return target_.program.values.at(target_.hidden_output).width; }

// A segment under verification gets the MTP head's pages at once, for there may be none left when it is committed.
std::size_t Executor::first_written(const Sequence& sequence, const SegmentRequest& segment) const {
    const bool feeds = segment.is_speculative || is_full(sequence.unfed_tokens.size() + segment.length, hidden_width());
    return feeds ? sequence.first_unfed(segment.position) : segment.position;
}

std::size_t Executor::missing_pages(std::span<const SegmentRequest> segments) const {
    std::size_t count = 0;
    for (const SegmentRequest& segment : segments) {
        const Sequence& sequence = slots_.at(segment.slot);
        const std::size_t first = first_written(sequence, segment);
        count += machine_.pages->missing(sequence.pages, first, segment.position + segment.length);
    }
    return count;
}

// Throws std::runtime_error where fewer are free.
void Executor::require_pages(std::size_t missing) const {
    if (missing > machine_.pages->free_pages()) throw std::runtime_error("no page of the KV cache is free");
}

void Executor::forward(std::span<const std::int64_t> token_ids, std::span<const SegmentRequest> requests,
                       std::span<const std::int64_t> logit_rows, std::span<const std::int64_t> hidden_rows,
                       const Taking& taking, float* hidden) {
    require_pages(missing_pages(requests));
    std::vector<Segment> segments;
    std::size_t start = 0;
    for (const SegmentRequest& request : requests) {
        Sequence& sequence = slots_.at(request.slot);
        if (!sequence.is_open) std::fill(sequence.states, sequence.states + state_floats_, 0.0F);
        sequence.is_open = true;
        const std::size_t first = first_written(sequence, request);
        machine_.pages->make_writable(sequence.pages, first, request.position + request.length);
        sequence.is_drafting = false;
        if (request.is_speculative) {
            sequence.pending = std::make_unique<Pending>();
            const auto own = token_ids.subspan(start, request.length);
            sequence.pending->token_ids.assign(own.begin(), own.end());
        }
        segments.push_back({&sequence, start, request.length, request.position, request.is_speculative});
        start += request.length;
    }
    target_.program.run(machine_, {.token_ids = token_ids.data(),
                                   .tokens = token_ids.size(),
                                   .rows = logit_rows.data(),
                                   .row_count = logit_rows.size(),
                                   .segments = &segments}, times_ops);
    read_logits(target_, logit_rows.size(), taking);
    const std::size_t width = hidden_width(), stride = padded(width);
    const float* states = machine_.rows(target_.program.values[target_.hidden_output], token_ids.size());
    for (std::size_t row = 0; row < hidden_rows.size(); ++row) {
        const float* source = states + static_cast<std::size_t>(hidden_rows[row]) * stride;
        std::copy(source, source + width, hidden + row * width);
    }
    // The MTP head runs in the same buffers, so all segments are taken in before it does.
    std::vector<Sequence*> full;
    for (const Segment& segment : segments) {
        const float* own = states + segment.start * stride;
        if (segment.is_speculative) {
            segment.sequence->pending->hidden_states.assign(own, own + segment.length * stride);
            continue;
        }
        advance(*segment.sequence, token_ids.subspan(segment.start, segment.length), own);
        if (is_full(segment.sequence->unfed_tokens.size(), hidden_width())) full.push_back(segment.sequence);
    }
    feed_mtp(full);
}

// Entry t of the MTP cache pairs the hidden state of token t with token t+1, so the cache lags by one.
void Executor::advance(Sequence& sequence, std::span<const std::int64_t> token_ids, const float* hidden) {
    if (token_ids.empty()) return;
    const std::size_t stride = padded(hidden_width()), count = token_ids.size();
    if (mtp_) {
        const std::size_t skipped = sequence.length > 0 ? 0 : 1;
        std::vector<std::int64_t>& tokens = sequence.unfed_tokens;
        std::vector<float>& rows = sequence.unfed_hidden;
        tokens.insert(tokens.end(), token_ids.begin() + static_cast<std::ptrdiff_t>(skipped), token_ids.end());
        if (sequence.length > 0) rows.insert(rows.end(), sequence.last_hidden.begin(), sequence.last_hidden.end());
        rows.insert(rows.end(), hidden, hidden + (count - 1) * stride);
    }
    sequence.last_hidden.assign(hidden + (count - 1) * stride, hidden + count * stride);
    sequence.length += count;
    sequence.is_drafting = false;
}

std::span<const float> Executor::logits_row(const GraphProgram& graph, std::size_t rows, std::size_t row) {
    const Value& value = graph.program.values[graph.logits_output];
    return {machine_.rows(value, rows) + row * padded(value.width), value.width};
}

void Executor::read_logits(const GraphProgram& graph, std::size_t rows, const Taking& taking) {
    float* logits = taking.logits;
    std::vector<std::size_t> drawn;
    for (std::size_t row = 0; row < rows; ++row) {
        if (!taking.draws.empty() && taking.draws[row]) {
            drawn.push_back(row);
            continue;
        }
        if (!taking.draws.empty()) taking.tokens[row] = -1;
        const std::span<const float> from = logits_row(graph, rows, row);
        logits = std::copy(from.begin(), from.end(), logits);
    }
    machine_.share(drawn.size(), vocabulary() / 2, [&](std::size_t item, std::size_t) {
        const std::size_t row = drawn[item];
        taking.tokens[row] = draw_row(logits_row(graph, rows, row), *taking.draws[row]);
    });
}

void Executor::commit(std::size_t slot, std::size_t accepted) {
    Sequence& sequence = slots_.at(slot);
    if (!sequence.pending || accepted > sequence.pending->token_ids.size()) {
        throw std::runtime_error("no such tokens are under verification");
    }
    const std::unique_ptr<Pending> pending = std::move(sequence.pending);
    if (accepted == 0) return;
    for (Op* op : target_.stateful) {
        op->advance(machine_, sequence, pending->kept_rows[op->state_number].data(), accepted);
    }
    advance(sequence, {pending->token_ids.data(), accepted}, pending->hidden_states.data());
    if (is_full(sequence.unfed_tokens.size(), hidden_width())) feed_mtp({&sequence});
}

std::unique_ptr<Snapshot> Executor::snapshot(std::size_t slot, bool has_pages) const {
    return std::make_unique<Snapshot>(machine_.pages, slots_.at(slot), state_floats_, has_pages);
}

std::unique_ptr<Snapshot> Executor::blank_snapshot(std::size_t length,
                                                   std::span<const std::int64_t> unfed_tokens) const {
    return std::make_unique<Snapshot>(machine_.pages, length, unfed_tokens, state_floats_, padded(hidden_width()));
}

void Executor::restore(std::size_t slot, const Snapshot& snapshot) {
    if (snapshot.pool() != machine_.pages.get()) throw std::runtime_error("the snapshot is another executor's");
    snapshot.restore(slots_.at(slot));
}

void Executor::release(std::size_t slot) {
    Sequence& sequence = slots_.at(slot);
    for (const std::uint32_t page : sequence.pages) machine_.pages->release(page);
    float* states = sequence.states;
    sequence = Sequence();
    sequence.states = states;
}

}  // namespace trtnemo
