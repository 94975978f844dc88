// Causal attention of every segment over its sequence's pages.
#pragma once

#include "program.hpp"

namespace trtnemo {

class AttentionOp : public Op {
  public:
    AttentionOp(std::string name, Value queries, Value keys, Value values, std::size_t query_heads,
                std::size_t kv_heads, std::size_t head_dim, std::size_t layer, Value output)
        : Op(std::move(name)), queries_(queries), keys_(keys), values_(values), query_heads_(query_heads),
          kv_heads_(kv_heads), head_dim_(head_dim), layer_(layer), output_(output) {}
    void run(Machine& machine, const Step& step) override;
    void fill_cache(Machine& machine, const Step& step) override;

  private:
    void store(Machine& machine, const Step& step, const Segment& segment) const;
    void attend(Machine& machine, const Step& step, const Segment& segment) const;

    Value queries_, keys_, values_;
    std::size_t query_heads_, kv_heads_, head_dim_, layer_;
    Value output_;
};

}  // namespace trtnemo
