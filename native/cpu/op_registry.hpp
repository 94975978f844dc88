// Ops that register themselves: a plugin's shared object, or object file, adds a factory under the kind that graphs name.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memory.hpp"
#include "program.hpp"

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

// One matrix for each expert, alike in all but place and scale.
struct Bank {
    Matrix first;
    std::size_t stride;  // bytes from expert to expert
    std::vector<float> scales;

    Matrix expert(std::size_t index) const {
        Matrix matrix = first;
        matrix.data += index * stride;
        matrix.scale = scales[index];
        return matrix;
    }
};

Format parse_format(const std::string& name);  // throws std::invalid_argument

// Throws std::invalid_argument with the message unless the condition holds.
void require(bool condition, const char* message);

// What Python says of an op, by name: what is missing, or lies outside the weights' file, throws std::invalid_argument.
struct OpArguments {
    std::map<std::string, std::int64_t> sizes;
    std::map<std::string, double> numbers;
    std::map<std::string, std::size_t> vectors;  // where float32 vectors start in the file
    std::map<std::string, WeightPlace> matrices;
    std::map<std::string, BankPlace> banks;
};

class OpSite {
  public:
    OpSite(std::string name, std::vector<Value> inputs, Value output, const OpArguments& arguments,
           const MappedMemory& weights, const Kernels& kernels)
        : name(std::move(name)), inputs(std::move(inputs)), output(output), kernels(kernels), arguments_(arguments),
          weights_(weights) {}

    const Value& input(std::size_t place) const;
    std::size_t size(const std::string& key) const;  // at most 2^20: products of three stay within 64 bits
    bool flag(const std::string& key) const { return size(key) != 0; }
    float number(const std::string& key) const;
    bool has_vector(const std::string& key) const { return arguments_.vectors.count(key) != 0; }
    const float* vector(const std::string& key, std::size_t count) const;
    Matrix matrix(const std::string& key) const;
    Bank bank(const std::string& key, std::size_t experts) const;

    const std::string name;
    const std::vector<Value> inputs;
    const Value output;
    const Kernels& kernels;

  private:
    const OpArguments& arguments_;
    const MappedMemory& weights_;
};

// A matrix of the packed file, checked to lie in it.
Matrix place_matrix(const WeightPlace& place, const MappedMemory& weights);
const float* place_vector(std::size_t offset, std::size_t count, const MappedMemory& weights);
void check_place(std::size_t offset, std::size_t bytes, const MappedMemory& weights);

using OpFactory = std::unique_ptr<Op> (*)(const OpSite&);

// Throws std::invalid_argument where the kind is taken or unknown.
void register_op(const std::string& kind, OpFactory factory);
OpFactory find_op(const std::string& kind);

// Kernels of a plugin: its own table for each form (portable, avx2, avx512, neon, i8mm), by the plugin's name.
void register_kernels(const std::string& plugin, const std::string& form, const void* table);
const void* find_kernels(const std::string& plugin, const std::string& form);

// A static object of it registers an op when its object file is loaded.
struct RegisterOp {
    RegisterOp(const char* kind, OpFactory factory) { register_op(kind, factory); }
};

struct RegisterKernels {
    RegisterKernels(const char* plugin, const char* form, const void* table) { register_kernels(plugin, form, table); }
};

}  // namespace trtnemo
