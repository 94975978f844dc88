// A third op, as somebody else's plugin would bring it: per channel, state = state * keep + x, and the state is the output.
#include <cstring>
#include <memory>

#include "op_registry.hpp"

namespace {

using namespace trtnemo;

class DecayOp : public Op {
  public:
    DecayOp(std::string name, Value input, const float* keep, Value output)
        : Op(std::move(name)), input_(input), keep_(keep), output_(output) {}

    std::size_t state_bytes() const override { return input_.width * sizeof(float); }

    void run(Machine& machine, const Step& step) override {
        const std::size_t stride = padded(input_.width), out_stride = padded(output_.width);
        const float* rows = machine.rows(input_, step.tokens);
        float* out = machine.rows(output_, step.tokens);
        for (const Segment& segment : *step.segments) {
            const float* first = rows + segment.start * stride;
            std::vector<float> after(state(*segment.sequence), state(*segment.sequence) + input_.width);
            float* written = out + segment.start * out_stride;
            std::memset(written, 0, segment.length * out_stride * sizeof(float));
            for (std::size_t t = 0; t < segment.length; ++t) {
                move(after.data(), first + t * stride);
                std::memcpy(written + t * out_stride, after.data(), input_.width * sizeof(float));
            }
            if (segment.is_speculative) {
                keep_rows(segment, first, segment.length * stride);
            } else {
                std::memcpy(state(*segment.sequence), after.data(), input_.width * sizeof(float));
            }
        }
    }

    void advance(Machine&, Sequence& sequence, const float* rows, std::size_t count) override {
        for (std::size_t t = 0; t < count; ++t) move(state(sequence), rows + t * padded(input_.width));
    }

  private:
    void move(float* held, const float* row) const {
        for (std::size_t i = 0; i < input_.width; ++i) held[i] = held[i] * keep_[i] + row[i];
    }

    Value input_;
    const float* keep_;
    Value output_;
};

std::unique_ptr<Op> make(const OpSite& site) {
    require(site.input(0).width == site.output.width, "decay keeps its width");
    const float* keep = site.vector("keep", site.output.width);
    return std::make_unique<DecayOp>(site.name, site.input(0), keep, site.output);
}

const RegisterOp kRegistered("decay", make);

}  // namespace
