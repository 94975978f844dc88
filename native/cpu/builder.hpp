// Puts ops together from what Python says of a graph; every weight is a place in one packed file, checked to lie in it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "executor.hpp"
#include "op_registry.hpp"

namespace trtnemo {

class GraphBuilder {
  public:
    GraphBuilder(Executor& executor, GraphProgram& graph, const MappedMemory& weights)
        : executor_(executor), graph_(graph), weights_(weights) {}

    std::size_t value(std::size_t width, std::size_t buffer, bool is_rows);
    void embedding(std::string name, const WeightPlace& table, bool is_tiled, std::size_t rows, std::size_t output);
    void rms_norm(std::string name, std::size_t input, std::size_t weight_offset, float epsilon, std::size_t output);
    void linear(std::string name, std::size_t input, const WeightPlace& weight, bool is_wide, std::size_t output);
    void relu2(std::string name, std::size_t input, std::size_t output);
    void add(std::string name, std::size_t left, std::size_t right, std::size_t output);
    void concat(std::string name, const std::vector<std::size_t>& inputs, std::size_t output);
    void select_rows(std::string name, std::size_t input, std::size_t output);
    void attention(std::string name, std::size_t queries, std::size_t keys, std::size_t values,
                   std::size_t query_heads, std::size_t kv_heads, std::size_t head_dim, std::size_t layer,
                   std::size_t output);
    // An op that has registered itself under a kind.
    void op(const std::string& kind, std::string name, const std::vector<std::size_t>& inputs, std::size_t output,
            const OpArguments& arguments);
    void outputs(std::size_t hidden, std::size_t logits, std::size_t hidden_input);
    void feeds_cache(const std::vector<bool>& flags);  // one an op

  private:
    const Value& at(std::size_t number) const { return graph_.program.values.at(number); }
    template <typename Kind, typename... Arguments>
    Kind& append(Arguments&&... arguments);

    Executor& executor_;
    GraphProgram& graph_;
    const MappedMemory& weights_;
};

}  // namespace trtnemo
