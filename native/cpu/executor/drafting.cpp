// The MTP head: what it reads of accepted tokens, and drafts.
#include <algorithm>
#include <stdexcept>

#include "executor.hpp"

namespace trtnemo {

void Executor::feed_mtp(const std::vector<Sequence*>& sequences) {
    std::vector<std::int64_t> token_ids;
    std::vector<float> hidden;
    std::vector<Segment> segments;
    for (Sequence* sequence : sequences) {
        const std::size_t count = sequence->unfed_tokens.size();
        if (count == 0) continue;
        const std::size_t first = sequence->length - 1 - count;
        machine_.pages->make_writable(sequence->pages, first, first + count);
        segments.push_back({sequence, token_ids.size(), count, first, false});
        token_ids.insert(token_ids.end(), sequence->unfed_tokens.begin(), sequence->unfed_tokens.end());
        hidden.insert(hidden.end(), sequence->unfed_hidden.begin(), sequence->unfed_hidden.end());
        sequence->unfed_tokens.clear();
        sequence->unfed_hidden.clear();
    }
    if (segments.empty()) return;
    run_mtp(token_ids, hidden, segments, {});
}

void Executor::run_mtp(std::span<const std::int64_t> token_ids, std::span<const float> hidden,
                       const std::vector<Segment>& segments, std::span<const std::int64_t> rows) {
    const Value& input = mtp_->program.values[mtp_->hidden_input];
    std::copy(hidden.begin(), hidden.end(), machine_.rows(input, token_ids.size()));
    mtp_->program.run(machine_, {.token_ids = token_ids.data(),
                                 .tokens = token_ids.size(),
                                 .rows = rows.data(),
                                 .row_count = rows.size(),
                                 .segments = &segments,
                                 .only_caches = rows.empty()}, times_ops);
}

void Executor::draft(std::span<const DraftRequest> requests, float* logits) {
    std::size_t missing = 0;
    for (const DraftRequest& request : requests) missing += missing_for_drafts(request.slot, 1);
    require_pages(missing);
    run_drafts(requests);
    read_logits(*mtp_, requests.size(), {{}, nullptr, logits});
}

// Drafts of all slots, one of each at a time. Pages of all are had before the first, or a chain would end in its middle.
std::vector<std::vector<std::int64_t>> Executor::propose(std::span<const Proposal> proposals) {
    std::vector<std::vector<std::int64_t>> drafts(proposals.size());
    std::size_t most = 0, missing = 0;
    for (const Proposal& proposal : proposals) {
        most = std::max(most, proposal.draws.size());
        missing += missing_for_drafts(proposal.slot, proposal.draws.size());
    }
    require_pages(missing);
    for (std::size_t ahead = 0; ahead < most; ++ahead) {
        std::vector<DraftRequest> requests;
        std::vector<std::optional<RowDraw>> draws;
        std::vector<std::size_t> whose;
        for (std::size_t number = 0; number < proposals.size(); ++number) {
            const Proposal& proposal = proposals[number];
            if (ahead >= proposal.draws.size()) continue;
            const std::int64_t last = ahead ? drafts[number].back() : proposal.token_id;
            if (last == kNoNumber) continue;
            requests.push_back({proposal.slot, last});
            draws.push_back(proposal.draws[ahead]);
            whose.push_back(number);
        }
        if (requests.empty()) break;
        run_drafts(requests);
        std::vector<std::int64_t> tokens(requests.size());
        read_logits(*mtp_, requests.size(), {draws, tokens.data(), nullptr});
        for (std::size_t row = 0; row < whose.size(); ++row) drafts[whose[row]].push_back(tokens[row]);
    }
    for (std::vector<std::int64_t>& chain : drafts) std::erase(chain, kNoNumber);
    return drafts;
}

// The pages that so many drafts of a slot would take anew.
std::size_t Executor::missing_for_drafts(std::size_t slot, std::size_t drafts) const {
    if (!mtp_) throw std::runtime_error("this engine has no MTP head");
    const Sequence& sequence = slots_.at(slot);
    const std::size_t position = sequence.is_drafting ? sequence.draft_position : sequence.length - 1;
    return machine_.pages->missing(sequence.pages, sequence.first_unfed(position + 1), position + drafts);
}

// Leaves the drafts' logits in the head's own buffer.
void Executor::run_drafts(std::span<const DraftRequest> requests) {
    const std::size_t stride = padded(hidden_width());
    std::vector<std::int64_t> token_ids, rows;
    std::vector<float> hidden;
    std::vector<Segment> segments;
    std::vector<Sequence*> sequences;
    for (const DraftRequest& request : requests) sequences.push_back(&slots_.at(request.slot));
    feed_mtp(sequences);
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
    run_mtp(token_ids, hidden, segments, rows);
    const float* out = machine_.rows(mtp_->program.values[mtp_->hidden_output], token_ids.size());
    for (const Segment& segment : segments) {
        segment.sequence->draft_hidden.assign(out + segment.start * stride, out + (segment.start + 1) * stride);
        segment.sequence->is_drafting = true;
        ++segment.sequence->draft_position;
    }
}

}  // namespace trtnemo
