// The latent_moe plugin as the native executor runs it: tokens grouped by expert, each expert's weights read once a step.
#pragma once

#include "op_registry.hpp"
#include "routing.hpp"

namespace trtnemo {

class LatentMoeOp : public Op {
  public:
    LatentMoeOp(std::string name, Value logits, Value rows, RoutingSizes sizes, const float* correction_bias, Bank up,
                Bank down, bool is_wide, Value output);
    void run(Machine& machine, const Step& step) override;

  private:
    struct Group {  // an expert and its place in the list of (token, expert) pairs
        std::uint32_t expert, first, count;
    };
    void run_rows(Machine& machine, const float* logits, const float* rows, std::size_t count, float* out);
    void pick(Machine& machine, const float* logits, std::size_t count);
    void group(std::size_t count);
    void run_whole(Machine& machine, const Activations& x, float* products);
    void run_group(const Kernels& kernels, Scratch& memory, const Activations& x, const Group& group, float* products);
    const float* multiply_up(Machine& machine, const Activations& x);
    void multiply_down(Machine& machine, const float* hidden, float* products);
    template <typename Finish>
    void multiply_groups(Machine& machine, const Bank& bank, const Activations& x, const std::uint32_t* row_of,
                         float* out, const Finish& finish);
    void add_up(Machine& machine, const float* products, std::size_t count, float* out);

    Value logits_, rows_;
    RoutingSizes sizes_;
    const float* correction_bias_;
    Bank up_, down_;
    bool is_wide_;
    Value output_;
    std::vector<Pick> picks_;                 // [tokens][top_k], experts ascending
    std::vector<Group> groups_;               // experts that have tokens, ascending
    std::vector<std::uint32_t> pair_tokens_;  // by expert, then by token
    std::vector<std::uint32_t> pair_of_;      // the pair of each pick
};

}  // namespace trtnemo
