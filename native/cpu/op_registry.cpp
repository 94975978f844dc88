#include "op_registry.hpp"

#include <algorithm>
#include <stdexcept>

namespace trtnemo {

namespace {

constexpr std::size_t kLargestSize = 1U << 20;

// Functions, so that they are there before the first static object registers itself.
std::map<std::string, OpFactory>& factories() {
    static std::map<std::string, OpFactory> table;
    return table;
}

std::map<std::string, const void*>& kernel_tables() {
    static std::map<std::string, const void*> table;
    return table;
}

template <typename Table>
const typename Table::mapped_type& find(const Table& table, const std::string& op, const std::string& key) {
    const auto found = table.find(key);
    if (found == table.end()) throw std::invalid_argument(op + " lacks " + key);
    return found->second;
}

}  // namespace

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

Format parse_format(const std::string& name) {
    if (name == "float32") return Format::kFloat32;
    if (name == "bfloat16") return Format::kBfloat16;
    if (name == "e4m3") return Format::kE4m3;
    if (name == "nvfp4") return Format::kNvfp4;
    throw std::invalid_argument("no packed format is called " + name);
}

void check_place(std::size_t offset, std::size_t bytes, const MappedMemory& weights) {
    require(offset % kAlignment == 0, "a weight is not aligned");
    require(bytes <= weights.size() && offset <= weights.size() - bytes, "a weight lies outside its file");
}

Matrix place_matrix(const WeightPlace& place, const MappedMemory& weights) {
    Matrix matrix{parse_format(place.format), place.rows, place.columns, weights.data() + place.offset, place.scale};
    require(place.rows < 1U << 31 && place.columns < 1U << 31, "a weight has impossible sizes");
    require(matrix.tiles() <= weights.size() / std::max<std::size_t>(1, matrix.tile_bytes()),
            "a weight lies outside its file");
    check_place(place.offset, matrix.bytes(), weights);
    // Factors of the forms that kernels read: halves of E2M1's doubled values, and the half floats' bias.
    if (matrix.format == Format::kNvfp4) matrix.scale *= 128.0F;
    if (matrix.format == Format::kE4m3) matrix.scale *= 256.0F;
    return matrix;
}

const float* place_vector(std::size_t offset, std::size_t count, const MappedMemory& weights) {
    check_place(offset, count * sizeof(float), weights);
    return reinterpret_cast<const float*>(weights.data() + offset);
}

const Value& OpSite::input(std::size_t place) const {
    if (place >= inputs.size()) throw std::invalid_argument(name + " lacks an input");
    return inputs[place];
}

std::size_t OpSite::size(const std::string& key) const {
    const std::int64_t value = find(arguments_.sizes, name, key);
    require(value >= 0 && static_cast<std::size_t>(value) <= kLargestSize, "a size is out of range");
    return static_cast<std::size_t>(value);
}

float OpSite::number(const std::string& key) const { return static_cast<float>(find(arguments_.numbers, name, key)); }

const float* OpSite::vector(const std::string& key, std::size_t count) const {
    return place_vector(find(arguments_.vectors, name, key), count, weights_);
}

Matrix OpSite::matrix(const std::string& key) const {
    return place_matrix(find(arguments_.matrices, name, key), weights_);
}

Bank OpSite::bank(const std::string& key, std::size_t experts) const {
    const BankPlace& place = find(arguments_.banks, name, key);
    require(place.stride <= weights_.size() && experts > 0, "a bank lies outside its file");
    require(place.scales.size() == experts, "a bank lacks experts");
    Bank result{place_matrix(place.first, weights_), place.stride, place.scales};
    const float factor = result.first.scale;
    for (float& scale : result.scales) scale *= factor;
    check_place(place.first.offset, place.stride * (experts - 1) + result.first.bytes(), weights_);
    return result;
}

void register_op(const std::string& kind, OpFactory factory) {
    if (!factories().emplace(kind, factory).second) throw std::invalid_argument("two native ops are called " + kind);
}

OpFactory find_op(const std::string& kind) {
    const auto found = factories().find(kind);
    if (found == factories().end()) throw std::invalid_argument("op '" + kind + "' has no native form");
    return found->second;
}

void register_kernels(const std::string& plugin, const std::string& form, const void* table) {
    kernel_tables()[plugin + "/" + form] = table;
}

const void* find_kernels(const std::string& plugin, const std::string& form) {
    const auto found = kernel_tables().find(plugin + "/" + form);
    if (found == kernel_tables().end()) throw std::invalid_argument(plugin + " has no " + form + " kernels");
    return found->second;
}

}  // namespace trtnemo
