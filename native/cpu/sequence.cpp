#include "sequence.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace trtnemo {

Snapshot::Snapshot(std::shared_ptr<PagePool> pool, const Sequence& sequence, std::size_t state_floats)
    : pool_(std::move(pool)),
      length_(sequence.length),
      states_(sequence.states, sequence.states + state_floats),
      last_hidden_(sequence.last_hidden),
      unfed_tokens_(sequence.unfed_tokens),
      unfed_hidden_(sequence.unfed_hidden) {
    const std::size_t used = std::min(sequence.pages.size(), (length_ + kPageTokens - 1) / kPageTokens);
    pages_.assign(sequence.pages.begin(), sequence.pages.begin() + static_cast<std::ptrdiff_t>(used));
    for (const std::uint32_t page : pages_) pool_->share(page);
}

Snapshot::~Snapshot() {
    for (const std::uint32_t page : pages_) pool_->release(page);
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
