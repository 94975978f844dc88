// KV caches in pages of a fixed number of tokens, counted by reference: sequences and snapshots share full prefixes.
//
// A page holds its tokens' keys and values of all attention layers. Who writes into a page that others hold gets a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "layout.hpp"
#include "memory.hpp"

namespace trtnemo {

inline constexpr std::size_t kPageTokens = 32;

struct PageLayout {
    std::size_t layers = 0, heads = 0, head_dim = 0;
    CacheType cache = CacheType::kFloat32;

    // One token's elements of one head, and what its codes are multiplied by.
    std::size_t row_bytes(std::size_t elements) const;
    std::size_t key_bytes() const;    // of one head
    std::size_t value_bytes() const;  // of one head
    std::size_t head_bytes() const { return key_bytes() + value_bytes(); }
    std::size_t page_bytes() const { return layers * heads * head_bytes(); }
};

class PagePool {
  public:
    PagePool(PageLayout layout, std::size_t pages);

    const PageLayout& layout() const { return layout_; }
    std::size_t free_pages() const { return free_.size(); }
    std::size_t total_pages() const { return references_.size(); }
    std::uint8_t* page(std::uint32_t number) const { return memory_.data() + number * layout_.page_bytes(); }
    void* keys(std::uint32_t page, std::size_t layer, std::size_t head) const;
    void* values(std::uint32_t page, std::size_t layer, std::size_t head) const;

    std::uint32_t take();  // throws std::runtime_error when none is free
    void share(std::uint32_t page) { ++references_[page]; }
    void release(std::uint32_t page);
    bool is_shared(std::uint32_t page) const { return references_[page] > 1; }

    // Pages that a sequence lacks before it may write tokens [first, last).
    std::size_t missing(const std::vector<std::uint32_t>& pages, std::size_t first, std::size_t last) const;
    void make_writable(std::vector<std::uint32_t>& pages, std::size_t first, std::size_t last);

  private:
    PageLayout layout_;
    MappedMemory memory_;
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> references_;
};

}  // namespace trtnemo
