// The mamba2 plugin as the native executor runs it: one op over all segments of a step.
#pragma once

#include "mamba2_calls.hpp"
#include "program.hpp"

namespace trtnemo {

struct Mamba2Sizes {
    std::size_t heads, head_dim, groups, state_size, kernel;
    float epsilon;
    bool half_state;

    std::size_t inner() const { return heads * head_dim; }
    std::size_t channels() const { return inner() + 2 * groups * state_size; }
    std::size_t input_width() const { return inner() + channels() + heads; }
    // One cache line more than needed: rows a power of two apart would all fall into the same few sets of a cache.
    std::size_t convolved_stride() const { return padded(channels()) + kTileRows; }
    std::size_t convolution_floats() const { return (kernel - 1) * channels(); }
    // floats that one head's state takes
    std::size_t head_floats() const { return state_size * padded(head_dim) / (half_state ? 2 : 1); }
    std::size_t state_floats() const { return padded(convolution_floats()) + heads * head_floats(); }
};

struct Mamba2Weights {
    const float* convolution;  // [kernel][channels]
    const float* bias;         // [channels], or null
    const float* a_log;        // [heads]
    const float* skip;
    const float* dt_bias;
    const float* norm;  // [inner]
};

class Mamba2Op : public Op {
  public:
    Mamba2Op(std::string name, Value input, Mamba2Sizes sizes, Mamba2Weights weights, const Mamba2Kernels& kernels,
             Value output);
    void run(Machine& machine, const Step& step) override;
    std::size_t state_bytes() const override { return sizes_.state_floats() * sizeof(float); }
    void advance(Machine& machine, Sequence& sequence, const float* rows, std::size_t count) override;

  private:
    struct Stretch;  // one segment's rows, in and out
    void mix(Machine& machine, const std::vector<Stretch>& stretches);
    void scan_head(Machine& machine, const Stretch& stretch, std::size_t head, std::size_t worker) const;

    Value input_;
    Mamba2Sizes sizes_;
    Mamba2Weights weights_;
    const Mamba2Kernels& kernels_;
    Value output_;
};

}  // namespace trtnemo
