// A graph as the executor runs it: ops in order over numbered values, which are rows of padded floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels.hpp"
#include "sequence.hpp"
#include "thread_pool.hpp"

namespace trtnemo {

struct Segment {
    Sequence* sequence;
    std::size_t start, length, position;
    bool is_speculative;
};

// One run of a graph over a ragged batch.
struct Step {
    const std::int64_t* token_ids;
    std::size_t tokens;
    const std::int64_t* rows;  // which tokens select_rows takes
    std::size_t row_count;
    const std::vector<Segment>* segments;
    bool only_caches = false;  // no output is read: only what later steps read of this one is computed
};

// Where values lie: several share a buffer when they are never needed together.
struct Value {
    std::size_t width;
    std::size_t buffer;
    bool is_rows;  // one row for each selected token, not for each token
};

// Memory that ops use while they run and nobody reads afterwards; grows when asked for more.
class Scratch {
  public:
    template <typename Element>
    Element* get(std::size_t count) {
        const std::size_t bytes = count * sizeof(Element);
        if (memory_.size() < bytes) memory_ = MappedMemory(MappedMemory::grown(bytes));
        return memory_.as<Element>();
    }

  private:
    MappedMemory memory_;
};

// Below it, waking another thread costs more than what it would take over.
inline constexpr std::size_t kSharedNanoseconds = 5000;

// What ops share: threads, kernels, buffers, pages.
struct Machine {
    Machine(const Kernels& chosen, std::size_t threads, std::shared_ptr<PagePool> pool)
        : kernels(chosen), threads(threads), pages(std::move(pool)), workers(threads) {}

    const Kernels& kernels;
    ThreadPool threads;
    std::shared_ptr<PagePool> pages;
    std::vector<Scratch> workers;  // one a thread
    Scratch activations, first, second, third, fourth;  // of the op that runs
    std::vector<Scratch> buffers;  // of values

    // Rows of a value, enough for `count`.
    float* rows(const Value& value, std::size_t count) {
        return buffers[value.buffer].get<float>(count * padded(value.width));
    }
    // Splits `items` of about `cost` nanoseconds each over the threads, unless that takes longer than doing them here.
    template <typename Function>
    void share(std::size_t items, std::size_t cost, Function&& function) {
        if (items * cost < kSharedNanoseconds) {
            for (std::size_t item = 0; item < items; ++item) function(item, std::size_t{0});
        } else {
            threads.run(items, function);
        }
    }
};

class Op {
  public:
    explicit Op(std::string name) : name(std::move(name)) {}
    virtual ~Op() = default;
    virtual void run(Machine& machine, const Step& step) = 0;
    // The part of `run` that outlives the step, when it can be had without the rest.
    virtual void fill_cache(Machine&, const Step&) {}

    // Bytes of recurrent state that one sequence has of this op; none but attention keeps anything elsewhere. The executor
    // clears it when a sequence begins, and copies it into snapshots: an op has nothing to do for either.
    virtual std::size_t state_bytes() const { return 0; }
    // Moves a sequence's state over `count` rows that a segment under verification has kept (keep_rows).
    virtual void advance(Machine&, Sequence&, const float* /*rows*/, std::size_t /*count*/) {}

    const std::string name;
    double seconds = 0.0;
    bool feeds_cache = true;       // what another op keeps depends on this one's output
    std::size_t state_offset = 0;  // floats before this op's state in a sequence's states
    std::size_t state_number = 0;  // which op with state of its graph it is

  protected:
    float* state(Sequence& sequence) const { return sequence.states + state_offset; }
    // Keeps a segment's input rows for `advance`, where it is under verification.
    void keep_rows(const Segment& segment, const float* rows, std::size_t floats) const {
        std::vector<std::vector<float>>& kept = segment.sequence->pending->kept_rows;
        if (kept.size() <= state_number) kept.resize(state_number + 1);
        kept[state_number].assign(rows, rows + floats);
    }
};

class Program {
  public:
    std::size_t add_value(std::size_t width, std::size_t buffer, bool is_rows) {
        values.push_back({width, buffer, is_rows});
        return values.size() - 1;
    }
    void run(Machine& machine, const Step& step, bool is_timed);

    std::vector<Value> values;
    std::vector<std::unique_ptr<Op>> ops;
};

inline std::size_t row_count(const Value& value, const Step& step) {
    return value.is_rows ? step.row_count : step.tokens;
}

}  // namespace trtnemo
