#include "pages.hpp"

#include <cstring>
#include <stdexcept>

#include "layout.hpp"

namespace trtnemo {

std::size_t PageLayout::row_bytes(std::size_t elements) const {
    switch (cache) {
        case CacheType::kFloat32: return elements * 4;
        case CacheType::kFloat16: return elements * 2;
        case CacheType::kE4m3: return elements + sizeof(float);
    }
    return 0;
}
std::size_t PageLayout::key_bytes() const { return round_up(kPageTokens * row_bytes(head_dim), kAlignment); }
std::size_t PageLayout::value_bytes() const { return round_up(kPageTokens * row_bytes(padded(head_dim)), kAlignment); }

PagePool::PagePool(PageLayout layout, std::size_t pages)
    : layout_(layout), memory_(layout.page_bytes() * pages), references_(pages, 0) {
    for (std::size_t page = pages; page > 0; --page) free_.push_back(static_cast<std::uint32_t>(page - 1));
}

void* PagePool::keys(std::uint32_t page, std::size_t layer, std::size_t head) const {
    return this->page(page) + (layer * layout_.heads + head) * layout_.head_bytes();
}

void* PagePool::values(std::uint32_t page, std::size_t layer, std::size_t head) const {
    return static_cast<std::uint8_t*>(keys(page, layer, head)) + layout_.key_bytes();
}

std::uint32_t PagePool::take() {
    if (free_.empty()) throw std::runtime_error("no page of the KV cache is free");
    const std::uint32_t page = free_.back();
    free_.pop_back();
    references_[page] = 1;
    return page;
}

void PagePool::release(std::uint32_t page) {
    if (--references_[page] == 0) free_.push_back(page);
}

std::size_t PagePool::missing(const std::vector<std::uint32_t>& pages, std::size_t first, std::size_t last) const {
    if (layout_.layers == 0) return 0;
    const std::size_t needed = (last + kPageTokens - 1) / kPageTokens;
    std::size_t count = needed > pages.size() ? needed - pages.size() : 0;
    for (std::size_t index = first / kPageTokens; index < needed && index < pages.size(); ++index) {
        count += is_shared(pages[index]);
    }
    return count;
}

void PagePool::make_writable(std::vector<std::uint32_t>& pages, std::size_t first, std::size_t last) {
    if (layout_.layers == 0) return;
    const std::size_t needed = (last + kPageTokens - 1) / kPageTokens;
    for (std::size_t index = first / kPageTokens; index < needed && index < pages.size(); ++index) {
        if (!is_shared(pages[index])) continue;
        const std::uint32_t copy = take();
        std::memcpy(page(copy), page(pages[index]), layout_.page_bytes());
        release(pages[index]);
        pages[index] = copy;
    }
    while (pages.size() < needed) pages.push_back(take());
}

}  // namespace trtnemo
