// The ops without a state of their own.
#pragma once

#include "program.hpp"

namespace trtnemo {

class EmbeddingOp : public Op {  // a table of bfloat16 or float32 rows, or the tiles of a tied head
  public:
    EmbeddingOp(std::string name, Matrix table, bool is_tiled, Value output)
        : Op(std::move(name)), table_(table), is_tiled_(is_tiled), output_(output) {}
    void run(Machine& machine, const Step& step) override;

  private:
    Matrix table_;
    bool is_tiled_;
    Value output_;
};

class RmsNormOp : public Op {
  public:
    RmsNormOp(std::string name, Value input, const float* weight, float epsilon, Value output)
        : Op(std::move(name)), input_(input), weight_(weight), epsilon_(epsilon), output_(output) {}
    void run(Machine& machine, const Step& step) override;

  private:
    Value input_;
    const float* weight_;
    float epsilon_;
    Value output_;
};

class Relu2Op : public Op {
  public:
    Relu2Op(std::string name, Value input, Value output) : Op(std::move(name)), input_(input), output_(output) {}
    void run(Machine& machine, const Step& step) override;

  private:
    Value input_, output_;
};

class AddOp : public Op {
  public:
    AddOp(std::string name, Value left, Value right, Value output)
        : Op(std::move(name)), left_(left), right_(right), output_(output) {}
    void run(Machine& machine, const Step& step) override;

  private:
    Value left_, right_, output_;
};

class ConcatOp : public Op {
  public:
    ConcatOp(std::string name, std::vector<Value> inputs, Value output)
        : Op(std::move(name)), inputs_(std::move(inputs)), output_(output) {}
    void run(Machine& machine, const Step& step) override;

  private:
    std::vector<Value> inputs_;
    Value output_;
};

class SelectRowsOp : public Op {
  public:
    SelectRowsOp(std::string name, Value input, Value output)
        : Op(std::move(name)), input_(input), output_(output) {}
    void run(Machine& machine, const Step& step) override;

  private:
    Value input_, output_;
};

}  // namespace trtnemo
