#include "builder.hpp"

#include <algorithm>
#include <stdexcept>

#include "attention_op.hpp"
#include "linear_op.hpp"
#include "plain_ops.hpp"

namespace trtnemo {

template <typename Kind, typename... Arguments>
Kind& GraphBuilder::append(Arguments&&... arguments) {
    auto op = std::make_unique<Kind>(std::forward<Arguments>(arguments)...);
    Kind& result = *op;
    graph_.program.ops.push_back(std::move(op));
    return result;
}

std::size_t GraphBuilder::value(std::size_t width, std::size_t buffer, bool is_rows) {
    return graph_.program.add_value(width, buffer, is_rows);
}

void GraphBuilder::embedding(std::string name, const WeightPlace& table, bool is_tiled, std::size_t rows,
                             std::size_t output) {
    require(table.format == "bfloat16" || table.format == "float32", "an embedding table is bfloat16 or float32");
    require(at(output).width == table.columns && table.rows >= rows, "an embedding table has other sizes than the graph");
    require(table.rows < 1U << 31 && table.columns < 1U << 31, "a table has impossible sizes");
    Matrix matrix{parse_format(table.format), table.rows, table.columns, weights_.data() + table.offset, 1.0F};
    const std::size_t element = matrix.format == Format::kFloat32 ? 4 : 2;
    check_place(table.offset, is_tiled ? matrix.bytes() : table.rows * table.columns * element, weights_);
    append<EmbeddingOp>(std::move(name), matrix, is_tiled, at(output));
}

void GraphBuilder::rms_norm(std::string name, std::size_t input, std::size_t weight_offset, float epsilon,
                            std::size_t output) {
    append<RmsNormOp>(std::move(name), at(input), place_vector(weight_offset, at(input).width, weights_), epsilon, at(output));
}

void GraphBuilder::linear(std::string name, std::size_t input, const WeightPlace& weight, bool is_wide,
                          std::size_t output) {
    require(at(input).width == weight.columns && at(output).width == weight.rows, "a linear's sizes differ");
    append<LinearOp>(std::move(name), at(input), place_matrix(weight, weights_), is_wide, at(output));
}

void GraphBuilder::relu2(std::string name, std::size_t input, std::size_t output) {
    append<Relu2Op>(std::move(name), at(input), at(output));
}

void GraphBuilder::add(std::string name, std::size_t left, std::size_t right, std::size_t output) {
    append<AddOp>(std::move(name), at(left), at(right), at(output));
}

void GraphBuilder::concat(std::string name, const std::vector<std::size_t>& inputs, std::size_t output) {
    std::vector<Value> values;
    for (const std::size_t input : inputs) values.push_back(at(input));
    append<ConcatOp>(std::move(name), std::move(values), at(output));
}

void GraphBuilder::select_rows(std::string name, std::size_t input, std::size_t output) {
    append<SelectRowsOp>(std::move(name), at(input), at(output));
}

void GraphBuilder::attention(std::string name, std::size_t queries, std::size_t keys, std::size_t values,
                             std::size_t query_heads, std::size_t kv_heads, std::size_t head_dim, std::size_t layer,
                             std::size_t output) {
    const PageLayout& layout = executor_.pages().layout();
    require(layout.heads == kv_heads && layout.head_dim == head_dim && layer < layout.layers,
            "attention does not fit the pages");
    require(kv_heads > 0 && query_heads % kv_heads == 0 && at(queries).width == query_heads * head_dim &&
                at(output).width == at(queries).width && at(keys).width == kv_heads * head_dim &&
                at(values).width == at(keys).width,
            "an attention's sizes differ");
    append<AttentionOp>(std::move(name), at(queries), at(keys), at(values), query_heads, kv_heads, head_dim, layer,
                        at(output));
}

void GraphBuilder::op(const std::string& kind, std::string name, const std::vector<std::size_t>& inputs,
                      std::size_t output, const OpArguments& arguments) {
    std::vector<Value> values;
    for (const std::size_t input : inputs) values.push_back(at(input));
    auto made = find_op(kind)({std::move(name), std::move(values), at(output), arguments, weights_, executor_.kernels()});
    if (made->state_bytes() > 0) {
        made->state_offset = executor_.reserve_state((made->state_bytes() + sizeof(float) - 1) / sizeof(float));
        made->state_number = graph_.stateful.size();
        graph_.stateful.push_back(made.get());
    }
    graph_.program.ops.push_back(std::move(made));
}

void GraphBuilder::outputs(std::size_t hidden, std::size_t logits, std::size_t hidden_input) {
    require(hidden < graph_.program.values.size() && logits < graph_.program.values.size() &&
                hidden_input < graph_.program.values.size(),
            "an output is no value");
    graph_.hidden_output = hidden;
    graph_.logits_output = logits;
    graph_.hidden_input = hidden_input;
}

void GraphBuilder::feeds_cache(const std::vector<bool>& flags) {
    require(flags.size() == graph_.program.ops.size(), "every op takes one flag");
    for (std::size_t number = 0; number < flags.size(); ++number) graph_.program.ops[number]->feeds_cache = flags[number];
}

}  // namespace trtnemo
