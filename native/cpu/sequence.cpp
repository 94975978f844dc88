#include "sequence.hpp"

#include <algorithm>

namespace trtnemo {

Snapshot::Snapshot(std::shared_ptr<PagePool> pool, const Sequence& sequence, std::size_t state_floats)
    : pool_(std::move(pool)),
      length_(sequence.length),
      states_(sequence.states, sequence.states + state_floats),
      has_hidden_(sequence.has_hidden),
      last_hidden_(sequence.last_hidden) {
    const std::size_t used = std::min(sequence.pages.size(), (length_ + kPageTokens - 1) / kPageTokens);
    pages_.assign(sequence.pages.begin(), sequence.pages.begin() + static_cast<std::ptrdiff_t>(used));
    for (const std::uint32_t page : pages_) pool_->share(page);
}

Snapshot::~Snapshot() {
    for (const std::uint32_t page : pages_) pool_->release(page);
}

void Snapshot::restore(Sequence& sequence) const {
    for (const std::uint32_t page : pages_) pool_->share(page);
    for (const std::uint32_t page : sequence.pages) pool_->release(page);
    sequence.pages = pages_;
    sequence.is_open = true;
    sequence.length = length_;
    std::copy(states_.begin(), states_.end(), sequence.states);
    sequence.has_hidden = has_hidden_;
    sequence.last_hidden = last_hidden_;
    sequence.is_drafting = false;
    sequence.pending.reset();
}

std::size_t Snapshot::own_bytes() const { return (states_.size() + last_hidden_.size()) * sizeof(float); }

}  // namespace trtnemo
