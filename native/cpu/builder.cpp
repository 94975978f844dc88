#include "builder.hpp"

#include <algorithm>
#include <stdexcept>

#include "attention_op.hpp"
#include "latent_moe_op.hpp"
#include "linear_op.hpp"
#include "mamba2_op.hpp"
#include "plain_ops.hpp"

namespace trtnemo {

namespace {

// No size of a network comes near; products of three of them stay within 64 bits.
constexpr std::size_t kLargestSize = 1U << 20;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

void require_sizes(const std::vector<std::size_t>& sizes, std::size_t count, const char* message) {
    require(sizes.size() == count, message);
    for (const std::size_t size : sizes) require(size <= kLargestSize, message);
}

}  // namespace

Format parse_format(const std::string& name) {
    if (name == "float32") return Format::kFloat32;
    if (name == "bfloat16") return Format::kBfloat16;
    if (name == "e4m3") return Format::kE4m3;
    if (name == "nvfp4") return Format::kNvfp4;
    throw std::invalid_argument("no packed format is called " + name);
}

void GraphBuilder::check(std::size_t offset, std::size_t bytes) const {
    require(offset % kAlignment == 0, "a weight is not aligned");
    require(bytes <= weights_.size() && offset <= weights_.size() - bytes, "a weight lies outside its file");
}

Matrix GraphBuilder::matrix(const WeightPlace& place) const {
    Matrix matrix{parse_format(place.format), place.rows, place.columns, weights_.data() + place.offset, place.scale};
    require(place.rows < 1U << 31 && place.columns < 1U << 31, "a weight has impossible sizes");
    require(matrix.tiles() <= weights_.size() / std::max<std::size_t>(1, matrix.tile_bytes()),
            "a weight lies outside its file");
    check(place.offset, matrix.bytes());
    // Factors of the forms that kernels read: halves of E2M1's doubled values, and the half floats' bias.
    if (matrix.format == Format::kNvfp4) matrix.scale *= 128.0F;
    if (matrix.format == Format::kE4m3) matrix.scale *= 256.0F;
    return matrix;
}

const float* GraphBuilder::vector(std::size_t offset, std::size_t count) const {
    check(offset, count * sizeof(float));
    return reinterpret_cast<const float*>(weights_.data() + offset);
}

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
    check(table.offset, is_tiled ? matrix.bytes() : table.rows * table.columns * element);
    append<EmbeddingOp>(std::move(name), matrix, is_tiled, at(output));
}

void GraphBuilder::rms_norm(std::string name, std::size_t input, std::size_t weight_offset, float epsilon,
                            std::size_t output) {
    append<RmsNormOp>(std::move(name), at(input), vector(weight_offset, at(input).width), epsilon, at(output));
}

void GraphBuilder::linear(std::string name, std::size_t input, const WeightPlace& weight, bool is_wide,
                          std::size_t output) {
    require(at(input).width == weight.columns && at(output).width == weight.rows, "a linear's sizes differ");
    append<LinearOp>(std::move(name), at(input), matrix(weight), is_wide, at(output));
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

void GraphBuilder::mamba2(std::string name, std::size_t input, const std::vector<std::size_t>& sizes, float epsilon,
                          const std::vector<std::size_t>& offsets, std::optional<std::size_t> bias_offset,
                          bool half_state, std::size_t output) {
    require_sizes(sizes, 5, "mamba2 takes five sizes");
    require(offsets.size() == 5, "mamba2 takes five offsets");
    const Mamba2Sizes mixer{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], epsilon, half_state};
    require(mixer.groups > 0 && mixer.heads % mixer.groups == 0 && mixer.kernel > 0, "mamba2's sizes do not divide");
    require(at(input).width == mixer.input_width() && at(output).width == mixer.inner(), "mamba2's sizes differ");
    const Mamba2Weights weights{vector(offsets[0], mixer.kernel * mixer.channels()),
                                bias_offset ? vector(*bias_offset, mixer.channels()) : nullptr,
                                vector(offsets[1], mixer.heads), vector(offsets[2], mixer.heads),
                                vector(offsets[3], mixer.heads), vector(offsets[4], mixer.inner())};
    const std::size_t place = executor_.reserve_state(mixer.state_floats());
    graph_.mamba_ops.push_back(&append<Mamba2Op>(std::move(name), at(input), mixer, weights, place,
                                                 graph_.mamba_ops.size(), at(output)));
}

void GraphBuilder::latent_moe(std::string name, std::size_t logits, std::size_t rows,
                              const std::vector<std::size_t>& sizes, bool normalizes, float scaling_factor,
                              std::size_t bias_offset, const BankPlace& up, const BankPlace& down, bool is_wide,
                              std::size_t output) {
    require_sizes(sizes, 4, "latent_moe takes four sizes");
    require(up.stride <= weights_.size() && down.stride <= weights_.size(), "a bank lies outside its file");
    const RoutingSizes routing{sizes[0], sizes[1], sizes[2], sizes[3], normalizes, scaling_factor};
    require(routing.top_k > 0 && routing.top_k <= routing.experts && routing.groups > 0 &&
                routing.experts % routing.groups == 0 && routing.top_groups <= routing.groups &&
                routing.top_k <= routing.experts / routing.groups * routing.top_groups,
            "latent_moe's sizes do not divide");
    require(up.scales.size() == routing.experts && down.scales.size() == routing.experts, "a bank lacks experts");
    require(at(logits).width == routing.experts && at(rows).width == up.first.columns &&
                up.first.rows == down.first.columns && at(output).width == down.first.rows,
            "latent_moe's sizes differ");
    const auto bank = [&](const BankPlace& place) {
        Bank result{matrix(place.first), place.stride, place.scales};
        const float factor = result.first.scale;
        for (float& scale : result.scales) scale *= factor;
        check(place.first.offset, place.stride * (routing.experts - 1) + result.first.bytes());
        return result;
    };
    append<LatentMoeOp>(std::move(name), at(logits), at(rows), routing, vector(bias_offset, routing.experts), bank(up),
                        bank(down), is_wide, at(output));
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
