#include "attention_op.hpp"

#include <algorithm>

namespace trtnemo {

void AttentionOp::run(Machine& machine, const Step& step) {
    for (const Segment& segment : *step.segments) {
        store(machine, step, segment);
        attend(machine, step, segment);
    }
}

void AttentionOp::fill_cache(Machine& machine, const Step& step) {
    for (const Segment& segment : *step.segments) store(machine, step, segment);
}

void AttentionOp::store(Machine& machine, const Step& step, const Segment& segment) const {
    const std::size_t stride = padded(keys_.width);
    const float* keys = machine.rows(keys_, step.tokens) + segment.start * stride;
    const float* values = machine.rows(values_, step.tokens) + segment.start * stride;
    const PagePool& pool = *machine.pages;
    machine.share(segment.length, keys_.width, [&](std::size_t t, std::size_t) {
        const std::size_t position = segment.position + t;
        const std::uint32_t page = segment.sequence->pages[position / kPageTokens];
        for (std::size_t head = 0; head < kv_heads_; ++head) {
            const std::size_t place = t * stride + head * head_dim_, token = position % kPageTokens;
            CacheRow row{pool.keys(page, layer_, head), head_dim_, kPageTokens, token, pool.layout().cache};
            machine.kernels.store_key(keys + place, row);
            row.page = pool.values(page, layer_, head);
            machine.kernels.store_value(values + place, row);
        }
    });
}

void AttentionOp::attend(Machine& machine, const Step& step, const Segment& segment) const {
    const PagePool& pool = *machine.pages;
    const std::size_t end = segment.position + segment.length, pages = (end + kPageTokens - 1) / kPageTokens;
    HeadPage* table = machine.first.get<HeadPage>(kv_heads_ * pages);
    for (std::size_t head = 0; head < kv_heads_; ++head) {
        for (std::size_t index = 0; index < pages; ++index) {
            const std::uint32_t page = segment.sequence->pages[index];
            table[head * pages + index] = {pool.keys(page, layer_, head), pool.values(page, layer_, head)};
        }
    }
    const std::size_t group = query_heads_ / kv_heads_, stride = padded(output_.width);
    const float* queries = machine.rows(queries_, step.tokens) + segment.start * stride;
    float* out = machine.rows(output_, step.tokens) + segment.start * stride;
    for (std::size_t t = 0; t < segment.length; ++t) {
        std::fill(out + t * stride + output_.width, out + (t + 1) * stride, 0.0F);
    }
    const std::size_t cost = group * head_dim_ * end / 8;
    machine.share(segment.length * kv_heads_, cost, [&](std::size_t item, std::size_t worker) {
        // Later tokens see more of the sequence: they go first, so that threads end together.
        const std::size_t t = segment.length - 1 - item / kv_heads_, head = item % kv_heads_;
        const std::size_t length = segment.position + t + 1, place = t * stride + head * group * head_dim_;
        machine.kernels.attend({.queries = queries + place,
                                .out = out + place,
                                .heads = group,
                                .head_dim = head_dim_,
                                .length = length,
                                .page_tokens = kPageTokens,
                                .pages = table + head * pages,
                                .cache = pool.layout().cache,
                                .scores = machine.workers[worker].get<float>(AttentionCall::scratch(group, length))});
    });
}

}  // namespace trtnemo
