// Puts ops together from what Python says of a graph; every weight is a place in one packed file, checked to lie in it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "executor.hpp"

namespace trtnemo {

struct WeightPlace {
    std::string format;  // float32, bfloat16, e4m3 or nvfp4
    std::size_t rows, columns, offset;
    float scale;
};

struct BankPlace {
    WeightPlace first;
    std::size_t stride;
    std::vector<float> scales;  // one an expert
};

Format parse_format(const std::string& name);  // throws std::invalid_argument

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
    // sizes: heads, head_dim, groups, state_size, kernel; offsets: conv_weight, A_log, D, dt_bias, norm_weight
    void mamba2(std::string name, std::size_t input, const std::vector<std::size_t>& sizes, float epsilon,
                const std::vector<std::size_t>& offsets, std::optional<std::size_t> bias_offset, bool half_state,
                std::size_t output);
    // sizes: experts, top_k, groups, top_groups
    void latent_moe(std::string name, std::size_t logits, std::size_t rows, const std::vector<std::size_t>& sizes,
                    bool normalizes, float scaling_factor, std::size_t bias_offset, const BankPlace& up,
                    const BankPlace& down, bool is_wide, std::size_t output);
    void outputs(std::size_t hidden, std::size_t logits, std::size_t hidden_input);
    void feeds_cache(const std::vector<bool>& flags);  // one an op

  private:
    const Value& at(std::size_t number) const { return graph_.program.values.at(number); }
    Matrix matrix(const WeightPlace& place) const;
    const float* vector(std::size_t offset, std::size_t count) const;
    void check(std::size_t offset, std::size_t bytes) const;
    template <typename Kind, typename... Arguments>
    Kind& append(Arguments&&... arguments);

    Executor& executor_;
    GraphProgram& graph_;
    const MappedMemory& weights_;
};

}  // namespace trtnemo
