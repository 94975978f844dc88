// What one sequence carries from step to step, and copies of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "pages.hpp"

namespace trtnemo {

// Tokens under verification: what is needed to run the accepted ones through the recurrence.
struct Pending {
    std::vector<std::int64_t> token_ids;
    std::vector<float> hidden_states;             // [tokens][padded hidden]
    std::vector<std::vector<float>> kept_rows;    // one an op with state: what it read, [tokens][padded width]
};

// The recurrent states of all ops in one stretch of floats; each op knows its own place.
struct Sequence {
    bool is_open = false;
    std::size_t length = 0;  // committed tokens
    float* states = nullptr;
    std::vector<std::uint32_t> pages;
    std::vector<float> last_hidden;  // the target's, of the last committed token; empty before one
    bool is_drafting = false;
    std::vector<float> draft_hidden;  // the head's own, of the last draft
    std::size_t draft_position = 0;
    std::unique_ptr<Pending> pending;
    // Committed tokens that the MTP head has not read yet, and their hidden states: it reads many at once.
    std::vector<std::int64_t> unfed_tokens;
    std::vector<float> unfed_hidden;  // [tokens][padded hidden]

    // The first token whose page is written when the MTP head reads what waits for it.
    std::size_t first_unfed(std::size_t position) const {
        return position - std::min(position, unfed_tokens.size() + 1);
    }
};

// A sequence at its last commit. It shares the pages, until it is swapped out, and holds the rest; neither is ever written,
// but where it was made blank: then whoever reads it from a file fills it before anything else sees it.
class Snapshot {
  public:
    Snapshot(std::shared_ptr<PagePool> pool, const Sequence& sequence, std::size_t state_floats, bool has_pages = true);
    // Blank, with pages of its own; throws std::runtime_error, and takes nothing, when pages are missing.
    Snapshot(std::shared_ptr<PagePool> pool, std::size_t length, std::span<const std::int64_t> unfed_tokens,
             std::size_t state_floats, std::size_t row_floats);
    ~Snapshot();
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;

    void swap_out();  // copies the pages and gives them back
    // Its pages go back to the pool, which has no lock: on the executor's thread, whoever else still holds the rest.
    void give_back();
    // What it holds beside pages, as bytes: states, the last hidden state, the rows that the MTP head has not read.
    std::vector<std::span<std::uint8_t>> parts();
    std::span<std::uint8_t> page(std::size_t index) const;  // throws std::out_of_range
    std::size_t unfed() const { return unfed_tokens_.size(); }
    std::size_t pages_to_restore() const { return swapped_.size() / page_bytes(); }
    void restore(Sequence& sequence) const;  // throws std::runtime_error when pages are missing
    std::size_t length() const { return length_; }
    std::size_t own_bytes() const;  // without pages
    std::size_t pages() const { return pages_.size(); }
    const PagePool* pool() const { return pool_.get(); }

  private:
    std::size_t page_bytes() const { return std::max<std::size_t>(1, pool_->layout().page_bytes()); }

    std::shared_ptr<PagePool> pool_;
    std::size_t length_;
    std::vector<float> states_;
    std::vector<std::uint32_t> pages_;
    std::vector<float> last_hidden_;
    std::vector<std::int64_t> unfed_tokens_;
    std::vector<float> unfed_hidden_;
    std::vector<std::uint8_t> swapped_;  // pages, one after the other
};

}  // namespace trtnemo
