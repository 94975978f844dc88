// The native executor: a whole ragged step, verification, drafts and commits, over slots of per-sequence state.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "program.hpp"
#include "sampling.hpp"

namespace trtnemo {

struct ExecutorSizes {
    std::size_t slots, threads, pages;
    PageLayout page_layout;
};

// A graph, and the numbers of the values that the executor fills and reads.
struct GraphProgram {
    Program program;
    std::vector<Op*> stateful;  // ops with recurrent state, in their order
    std::size_t hidden_input = 0;  // the MTP head's second input
    std::size_t hidden_output = 0, logits_output = 0;
};

struct SegmentRequest {
    std::size_t slot, length, position;
    bool is_speculative;
};

struct DraftRequest {
    std::size_t slot;
    std::int64_t token_id;
};

// What becomes of a step's rows of logits, in their order: `tokens` of those that have a draw, `logits` of the others.
struct Taking {
    std::span<const std::optional<RowDraw>> draws;  // one a row, or none at all
    std::int64_t* tokens;
    float* logits;
};

// Drafts of one slot: after the token that it was given last, one a draw.
struct Proposal {
    std::size_t slot;
    std::int64_t token_id;
    std::vector<RowDraw> draws;
};

class Executor {
  public:
    Executor(const Kernels& kernels, const ExecutorSizes& sizes);

    // Building: ops are appended to a program before the first step.
    GraphProgram& target() { return target_; }
    GraphProgram& add_mtp();
    std::size_t reserve_state(std::size_t floats);
    void open_slots();

    // Throws std::runtime_error, and changes nothing, when pages are missing.
    void forward(std::span<const std::int64_t> token_ids, std::span<const SegmentRequest> segments,
                 std::span<const std::int64_t> logit_rows, std::span<const std::int64_t> hidden_rows, const Taking& taking,
                 float* hidden);
    void draft(std::span<const DraftRequest> requests, float* logits);
    // Each proposal's drafts, one a draw; a row of no numbers ends its slot's.
    std::vector<std::vector<std::int64_t>> propose(std::span<const Proposal> proposals);
    void commit(std::size_t slot, std::size_t accepted);
    std::unique_ptr<Snapshot> snapshot(std::size_t slot, bool has_pages = true) const;
    std::unique_ptr<Snapshot> blank_snapshot(std::size_t length, std::span<const std::int64_t> unfed_tokens) const;
    void restore(std::size_t slot, const Snapshot& snapshot);
    void release(std::size_t slot);

    const Sequence& sequence(std::size_t slot) const { return slots_.at(slot); }
    std::size_t missing_pages(std::span<const SegmentRequest> segments) const;
    const PagePool& pages() const { return *machine_.pages; }
    const Kernels& kernels() const { return machine_.kernels; }
    std::size_t vocabulary() const;
    std::size_t hidden_width() const;
    std::size_t state_floats() const { return state_floats_; }
    bool times_ops = false;

  private:
    std::size_t first_written(const Sequence& sequence, const SegmentRequest& segment) const;
    void advance(Sequence& sequence, std::span<const std::int64_t> token_ids, const float* hidden);
    void feed_mtp(const std::vector<Sequence*>& sequences);
    void run_mtp(std::span<const std::int64_t> token_ids, std::span<const float> hidden,
                 const std::vector<Segment>& segments, std::span<const std::int64_t> rows);
    void run_drafts(std::span<const DraftRequest> requests);
    std::size_t missing_for_drafts(std::size_t slot, std::size_t drafts) const;
    void require_pages(std::size_t missing) const;
    std::span<const float> logits_row(const GraphProgram& graph, std::size_t rows, std::size_t row);
    void read_logits(const GraphProgram& graph, std::size_t rows, const Taking& taking);

    Machine machine_;
    GraphProgram target_;
    std::unique_ptr<GraphProgram> mtp_;
    std::size_t state_floats_ = 0;
    MappedMemory states_;
    std::vector<Sequence> slots_;
};

}  // namespace trtnemo
