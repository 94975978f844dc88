// A value times a packed matrix; also how any op rounds rows of activations for NVFP4 weights.
#pragma once

#include "program.hpp"

namespace trtnemo {

// Rows of float32 as products with a matrix of that format read them; `memory` holds the rounded ones.
Activations prepare(Machine& machine, Scratch& memory, Format format, bool is_wide, const float* rows,
                    std::size_t width, std::size_t count);

// The same on the calling thread alone; `memory` has round_bytes for each row.
Activations round_here(const Kernels& kernels, std::uint8_t* memory, Format format, bool is_wide, const float* rows,
                       std::size_t width, std::size_t count);
std::size_t round_bytes(Format format, bool is_wide, std::size_t width);

// About how many nanoseconds a product of some tiles takes, to decide whether threads are worth their waking.
std::size_t product_cost(const Matrix& matrix, std::size_t tiles, std::size_t count);

class LinearOp : public Op {
  public:
    // is_wide: activations for NVFP4 weights in 16 bits, not 8
    LinearOp(std::string name, Value input, Matrix matrix, bool is_wide, Value output)
        : Op(std::move(name)), input_(input), matrix_(matrix), is_wide_(is_wide), output_(output) {}
    void run(Machine& machine, const Step& step) override;

  private:
    Value input_;
    Matrix matrix_;
    bool is_wide_;
    Value output_;
};

}  // namespace trtnemo
