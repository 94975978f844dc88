#include "sequence.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace trtnemo {

namespace {

std::span<std::uint8_t> bytes_of(std::vector<float>& row) {
    return {reinterpret_cast<std::uint8_t*>(row.data()), row.size() * sizeof(float)};
}

}  // namespace

Snapshot::Snapshot(std::shared_ptr<PagePool> pool, const Sequence& sequence, std::size_t state_floats, bool has_pages)
    : pool_(std::move(pool)),
      length_(sequence.length),
      states_(sequence.states, sequence.states + state_floats),
      last_hidden_(sequence.last_hidden),
      unfed_tokens_(sequence.unfed_tokens),
      unfed_hidden_(sequence.unfed_hidden) {
    if (!has_pages) return;
    const std::size_t used = std::min(sequence.pages.size(), (length_ + kPageTokens - 1) / kPageTokens);
    pages_.assign(sequence.pages.begin(), sequence.pages.begin() + static_cast<std::ptrdiff_t>(used));
    for (const std::uint32_t page : pages_) pool_->share(page);
}

Snapshot::Snapshot(std::shared_ptr<PagePool> pool, std::size_t length, std::span<const std::int64_t> unfed_tokens,
                   std::size_t state_floats, std::size_t row_floats)
    : pool_(std::move(pool)),
      length_(length),
      states_(state_floats),
      last_hidden_(row_floats),
      unfed_tokens_(unfed_tokens.begin(), unfed_tokens.end()),
      unfed_hidden_(unfed_tokens.size() * row_floats) {
    const std::size_t needed = pool_->layout().layers ? (length + kPageTokens - 1) / kPageTokens : 0;
    if (needed > pool_->free_pages()) throw std::runtime_error("no page of the KV cache is free");
    pages_.reserve(needed);
    while (pages_.size() < needed) pages_.push_back(pool_->take());
}

Snapshot::~Snapshot() { give_back(); }

void Snapshot::give_back() {
    for (const std::uint32_t page : pages_) pool_->release(page);
    pages_.clear();
}

std::vector<std::span<std::uint8_t>> Snapshot::parts() {
    return {bytes_of(states_), bytes_of(last_hidden_), bytes_of(unfed_hidden_)};
}

std::span<std::uint8_t> Snapshot::page(std::size_t index) const {
    return {pool_->page(pages_.at(index)), pool_->layout().page_bytes()};
}

void Snapshot::swap_out() {
    if (pages_.empty()) return;
    const std::size_t bytes = pool_->layout().page_bytes();
    std::vector<std::uint8_t> copy(pages_.size() * bytes);  // before a page is given back, for there may be no memory
    for (std::size_t page = 0; page < pages_.size(); ++page) {
        std::memcpy(copy.data() + page * bytes, pool_->page(pages_[page]), bytes);
        pool_->release(pages_[page]);
    }
    swapped_.swap(copy);
    pages_.clear();
}

void Snapshot::restore(Sequence& sequence) const {
    if (pages_to_restore() > pool_->free_pages()) {
        throw std::runtime_error("no page of the KV cache is free");
    }
    for (const std::uint32_t page : pages_) pool_->share(page);
    for (const std::uint32_t page : sequence.pages) pool_->release(page);
    sequence.pages = pages_;
    for (std::size_t page = 0; page < pages_to_restore(); ++page) {
        sequence.pages.push_back(pool_->take());
        std::memcpy(pool_->page(sequence.pages.back()), swapped_.data() + page * page_bytes(), page_bytes());
    }
    sequence.is_open = true;
    sequence.length = length_;
    std::copy(states_.begin(), states_.end(), sequence.states);
    sequence.last_hidden = last_hidden_;
    sequence.unfed_tokens = unfed_tokens_;
    sequence.unfed_hidden = unfed_hidden_;
    sequence.is_drafting = false;
    sequence.pending.reset();
}

std::size_t Snapshot::own_bytes() const {
    return (states_.size() + last_hidden_.size() + unfed_hidden_.size()) * sizeof(float) + swapped_.size();
}

}  // namespace trtnemo
