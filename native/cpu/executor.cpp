#include "executor.hpp"

#include <algorithm>
#include <stdexcept>

#include "mamba2_op.hpp"

namespace trtnemo {

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

// The MTP head may rewrite the entry before a segment, whose token it pairs with the segment's first.
std::size_t Executor::missing_pages(std::span<const SegmentRequest> segments) const {
    std::size_t count = 0;
    for (const SegmentRequest& segment : segments) {
        const std::size_t first = segment.position > 0 ? segment.position - 1 : 0;
        count += machine_.pages->missing(slots_.at(segment.slot).pages, first, segment.position + segment.length);
    }
    return count;
}

void Executor::forward(std::span<const std::int64_t> token_ids, std::span<const SegmentRequest> requests,
                       std::span<const std::int64_t> logit_rows, std::span<const std::int64_t> hidden_rows,
                       float* logits, float* hidden) {
    if (missing_pages(requests) > machine_.pages->free_pages()) {
        throw std::runtime_error("no page of the KV cache is free");
    }
    std::vector<Segment> segments;
    std::size_t start = 0;
    for (const SegmentRequest& request : requests) {
        Sequence& sequence = slots_.at(request.slot);
        if (!sequence.is_open) std::fill(sequence.states, sequence.states + state_floats_, 0.0F);
        sequence.is_open = true;
        const std::size_t first = request.position > 0 ? request.position - 1 : 0;
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
    read_logits(target_, logit_rows.size(), logits);
    const std::size_t width = hidden_width(), stride = padded(width);
    const float* states = machine_.rows(target_.program.values[target_.hidden_output], token_ids.size());
    for (std::size_t row = 0; row < hidden_rows.size(); ++row) {
        const float* source = states + static_cast<std::size_t>(hidden_rows[row]) * stride;
        std::copy(source, source + width, hidden + row * width);
    }
    std::vector<Fed> fed;
    std::vector<float> kept(states, states + token_ids.size() * stride);
    for (const Segment& segment : segments) {
        const float* own = kept.data() + segment.start * stride;
        if (segment.is_speculative) {
            segment.sequence->pending->hidden_states.assign(own, own + segment.length * stride);
        } else {
            fed.push_back({segment.sequence, token_ids.subspan(segment.start, segment.length), own});
        }
    }
    feed_mtp(fed);
}

// Entry t of the MTP cache pairs the hidden state of token t with token t+1, so the cache lags by one.
void Executor::feed_mtp(const std::vector<Fed>& fed) {
    const std::size_t stride = padded(hidden_width());
    std::vector<std::int64_t> token_ids;
    std::vector<float> hidden;
    std::vector<Segment> segments;
    for (const Fed& item : fed) {
        Sequence& sequence = *item.sequence;
        const std::size_t count = item.token_ids.size(), skipped = sequence.has_hidden ? 0 : 1;
        if (!mtp_ || count <= skipped) continue;
        const std::size_t position = sequence.has_hidden ? sequence.length - 1 : 0;
        segments.push_back({&sequence, token_ids.size(), count - skipped, position, false});
        token_ids.insert(token_ids.end(), item.token_ids.begin() + static_cast<std::ptrdiff_t>(skipped),
                         item.token_ids.end());
        if (sequence.has_hidden) hidden.insert(hidden.end(), sequence.last_hidden.begin(), sequence.last_hidden.end());
        hidden.insert(hidden.end(), item.hidden, item.hidden + (count - 1) * stride);
    }
    if (!segments.empty()) {
        const Value& input = mtp_->program.values[mtp_->hidden_input];
        std::copy(hidden.begin(), hidden.end(), machine_.rows(input, token_ids.size()));
        mtp_->program.run(machine_, {.token_ids = token_ids.data(),
                                     .tokens = token_ids.size(),
                                     .rows = nullptr,
                                     .row_count = 0,
                                     .segments = &segments}, times_ops);
    }
    for (const Fed& item : fed) advance(*item.sequence, item.token_ids.size(), item.hidden);
}

void Executor::advance(Sequence& sequence, std::size_t tokens, const float* hidden) {
    if (tokens == 0) return;
    const std::size_t stride = padded(hidden_width());
    sequence.last_hidden.assign(hidden + (tokens - 1) * stride, hidden + tokens * stride);
    sequence.has_hidden = true;
    sequence.length += tokens;
    sequence.is_drafting = false;
}

void Executor::read_logits(const GraphProgram& graph, std::size_t rows, float* logits) {
    const Value& value = graph.program.values[graph.logits_output];
    const float* source = machine_.rows(value, rows);
    for (std::size_t row = 0; row < rows; ++row) {
        const float* from = source + row * padded(value.width);
        std::copy(from, from + value.width, logits + row * value.width);
    }
}

void Executor::draft(std::span<const DraftRequest> requests, float* logits) {
    if (!mtp_) throw std::runtime_error("this engine has no MTP head");
    const std::size_t stride = padded(hidden_width());
    std::vector<std::int64_t> token_ids, rows;
    std::vector<float> hidden;
    std::vector<Segment> segments;
    std::size_t missing = 0;
    for (const DraftRequest& request : requests) {
        const Sequence& sequence = slots_.at(request.slot);
        const std::size_t position = sequence.is_drafting ? sequence.draft_position : sequence.length - 1;
        missing += machine_.pages->missing(sequence.pages, position, position + 1);
    }
    if (missing > machine_.pages->free_pages()) throw std::runtime_error("no page of the KV cache is free");
    for (const DraftRequest& request : requests) {
        Sequence& sequence = slots_.at(request.slot);
        if (!sequence.is_drafting) sequence.draft_position = sequence.length - 1;
        const std::vector<float>& start = sequence.is_drafting ? sequence.draft_hidden : sequence.last_hidden;
        hidden.insert(hidden.end(), start.begin(), start.end());
        machine_.pages->make_writable(sequence.pages, sequence.draft_position, sequence.draft_position + 1);
        segments.push_back({&sequence, token_ids.size(), 1, sequence.draft_position, false});
        rows.push_back(static_cast<std::int64_t>(rows.size()));
        token_ids.push_back(request.token_id);
    }
    const Value& input = mtp_->program.values[mtp_->hidden_input];
    std::copy(hidden.begin(), hidden.end(), machine_.rows(input, token_ids.size()));
    mtp_->program.run(machine_, {.token_ids = token_ids.data(),
                                 .tokens = token_ids.size(),
                                 .rows = rows.data(),
                                 .row_count = rows.size(),
                                 .segments = &segments}, times_ops);
    read_logits(*mtp_, rows.size(), logits);
    const float* out = machine_.rows(mtp_->program.values[mtp_->hidden_output], token_ids.size());
    for (const Segment& segment : segments) {
        segment.sequence->draft_hidden.assign(out + segment.start * stride, out + (segment.start + 1) * stride);
        segment.sequence->is_drafting = true;
        ++segment.sequence->draft_position;
    }
}

void Executor::commit(std::size_t slot, std::size_t accepted) {
    Sequence& sequence = slots_.at(slot);
    if (!sequence.pending || accepted > sequence.pending->token_ids.size()) {
        throw std::runtime_error("no such tokens are under verification");
    }
    const std::unique_ptr<Pending> pending = std::move(sequence.pending);
    if (accepted == 0) return;
    // A snapshot taken during the verification may share the page that the MTP head writes now.
    const std::size_t first = sequence.length > 0 ? sequence.length - 1 : 0;
    machine_.pages->make_writable(sequence.pages, first, sequence.length + accepted);
    for (std::size_t number = 0; number < target_.mamba_ops.size(); ++number) {
        target_.mamba_ops[number]->advance(machine_, sequence, pending->mamba_inputs[number].data(), accepted);
    }
    const std::span<const std::int64_t> taken(pending->token_ids.data(), accepted);
    feed_mtp({{&sequence, taken, pending->hidden_states.data()}});
}

std::unique_ptr<Snapshot> Executor::snapshot(std::size_t slot) const {
    return std::make_unique<Snapshot>(machine_.pages, slots_.at(slot), state_floats_);
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
