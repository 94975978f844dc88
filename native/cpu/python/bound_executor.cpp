// The native executor and its snapshots, for Python.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "builder.hpp"
#include "executor.hpp"

namespace trtnemo {

namespace {

using Tokens = nb::ndarray<nb::numpy, std::int64_t, nb::ndim<1>, nb::c_contig>;
// temperature, top_k, top_p, min_p, seed, place
using DrawWords = std::tuple<double, std::size_t, double, double, std::uint64_t, std::uint64_t>;
using ProposalWords = std::tuple<std::size_t, std::int64_t, std::vector<DrawWords>>;
using Rows = nb::ndarray<nb::numpy, float, nb::ndim<2>, nb::c_contig>;

// Executor and the file that its ops read, kept together.
class BoundExecutor {
  public:
    BoundExecutor(const std::string& path, const std::string& kernels, std::size_t slots, std::size_t threads,
                  std::size_t pages, std::size_t layers, std::size_t kv_heads, std::size_t head_dim, const std::string& cache)
        : weights_(MappedMemory::open_file(path)),
          executor(kernels_named(kernels), {slots, threads, pages, {layers, kv_heads, head_dim, parse_cache(cache)}}) {}

    const MappedMemory& weights() const { return weights_; }
    GraphBuilder target() { return {executor, executor.target(), weights_}; }
    GraphBuilder add_mtp() { return {executor, executor.add_mtp(), weights_}; }

    // draws: one a row of logits, None where these are wanted, or none at all; tokens of the others are -1.
    std::tuple<Rows, Rows, Tokens> forward(const Ids& ids, const Table& segments, const Ids& logit_rows,
                                           const Ids& hidden_rows, const std::vector<std::optional<DrawWords>>& draws) {
        const std::vector<SegmentRequest> requests = parse(segments);
        const std::size_t vocabulary = executor.vocabulary(), width = executor.hidden_width();
        std::vector<std::optional<RowDraw>> parsed;
        std::size_t wanted = logit_rows.shape(0);
        for (const std::optional<DrawWords>& draw : draws) {
            parsed.push_back(draw ? std::optional(parse(*draw)) : std::nullopt);
            wanted -= draw.has_value();
        }
        nb::capsule logits_owner, hidden_owner, tokens_owner;
        float* logits = owned<float>(wanted * vocabulary, logits_owner);
        float* hidden = owned<float>(hidden_rows.shape(0) * width, hidden_owner);
        std::int64_t* tokens = owned<std::int64_t>(draws.size(), tokens_owner);
        {
            nb::gil_scoped_release unlocked;
            executor.forward(view(ids), requests, view(logit_rows), view(hidden_rows), {parsed, tokens, logits}, hidden);
        }
        return {Rows(logits, {wanted, vocabulary}, logits_owner), Rows(hidden, {hidden_rows.shape(0), width}, hidden_owner),
                Tokens(tokens, {draws.size()}, tokens_owner)};
    }

    std::vector<std::vector<std::int64_t>> propose(const std::vector<ProposalWords>& words) {
        std::vector<Proposal> proposals;
        for (const auto& [slot, token_id, draws] : words) {
            proposals.push_back({slot, token_id, {}});
            for (const DrawWords& draw : draws) proposals.back().draws.push_back(parse(draw));
        }
        nb::gil_scoped_release unlocked;
        return executor.propose(proposals);
    }

    static RowDraw parse(const DrawWords& words) {
        const auto& [temperature, top_k, top_p, min_p, seed, place] = words;
        return {{temperature, top_k, top_p, min_p}, seed, place};
    }

    Rows draft(const Table& tokens) {
        std::vector<DraftRequest> requests;
        for (std::size_t row = 0; row < tokens.shape(0); ++row) {
            requests.push_back({static_cast<std::size_t>(tokens(row, 0)), tokens(row, 1)});
        }
        nb::capsule owner;
        const std::size_t vocabulary = executor.vocabulary();
        float* logits = owned<float>(requests.size() * vocabulary, owner);
        {
            nb::gil_scoped_release unlocked;
            executor.draft(requests, logits);
        }
        return Rows(logits, {requests.size(), vocabulary}, owner);
    }

    static CacheType parse_cache(const std::string& name) {
        if (name == "float32") return CacheType::kFloat32;
        if (name == "float16") return CacheType::kFloat16;
        if (name == "fp8") return CacheType::kE4m3;
        throw std::invalid_argument("there is no KV cache of " + name);
    }

    static std::vector<SegmentRequest> parse(const Table& segments) {
        std::vector<SegmentRequest> requests;
        for (std::size_t row = 0; row < segments.shape(0); ++row) {
            requests.push_back({static_cast<std::size_t>(segments(row, 0)), static_cast<std::size_t>(segments(row, 1)),
                                static_cast<std::size_t>(segments(row, 2)), segments(row, 3) != 0});
        }
        return requests;
    }

    // Of the target graph's ops, in their order.
    std::vector<double> seconds() {
        std::vector<double> result;
        for (const auto& op : executor.target().program.ops) result.push_back(op->seconds);
        return result;
    }

  private:
    MappedMemory weights_;  // before the executor, whose ops point into it

  public:
    Executor executor;
};

using View = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>, nb::c_contig>;

// Views hold the snapshot, not its pages: those are given back when their reader or writer has ended.
View view_of(std::span<std::uint8_t> bytes, nb::handle owner) { return {bytes.data(), {bytes.size()}, owner}; }

std::vector<View> parts_of(const nb::object& self) {
    std::vector<View> views;
    for (const std::span<std::uint8_t> part : nb::cast<Snapshot&>(self).parts()) {
        if (!part.empty()) views.push_back(view_of(part, self));
    }
    return views;
}

void bind_snapshot(nb::module_& module) {
    nb::class_<Snapshot>(module, "Snapshot")
        .def_prop_ro("length", &Snapshot::length)
        .def_prop_ro("own_bytes", &Snapshot::own_bytes)
        .def_prop_ro("pages_to_restore", &Snapshot::pages_to_restore)
        .def("swap_out", &Snapshot::swap_out)
        .def_prop_ro("pages", &Snapshot::pages)
        .def_prop_ro("unfed", &Snapshot::unfed)
        .def("parts", &parts_of)
        .def("page", [](const nb::object& self, std::size_t index) {
            return view_of(nb::cast<Snapshot&>(self).page(index), self);
        })
        .def("give_back", &Snapshot::give_back);
}

}  // namespace

void bind_executor(nb::module_& module) {
    bind_snapshot(module);
    nb::class_<BoundExecutor>(module, "Executor")
        .def(nb::init<const std::string&, const std::string&, std::size_t, std::size_t, std::size_t, std::size_t,
                      std::size_t, std::size_t, const std::string&>(),
             nb::arg("weights"), nb::arg("kernels"), nb::arg("slots"), nb::arg("threads"), nb::arg("pages"),
             nb::arg("layers"), nb::arg("kv_heads"), nb::arg("head_dim"), nb::arg("cache"))
        .def("target", &BoundExecutor::target, nb::keep_alive<0, 1>())
        .def("add_mtp", &BoundExecutor::add_mtp, nb::keep_alive<0, 1>())
        .def("lock_weights", [](const BoundExecutor& self) {
            nb::gil_scoped_release unlocked;  // all of the file is read
            return self.weights().lock();
        })
        .def("ask_for_huge_pages", [](const BoundExecutor& self) { return self.weights().ask_for_huge_pages(); })
        .def_prop_ro("weight_bytes", [](const BoundExecutor& self) { return self.weights().size(); })
        .def("open_slots", [](BoundExecutor& self) { self.executor.open_slots(); })
        .def("forward", &BoundExecutor::forward)
        .def("draft", &BoundExecutor::draft)
        .def("propose", &BoundExecutor::propose)
        .def("commit", [](BoundExecutor& self, std::size_t slot, std::size_t accepted) {
            nb::gil_scoped_release unlocked;
            self.executor.commit(slot, accepted);
        })
        .def("snapshot", [](BoundExecutor& self, std::size_t slot, bool has_pages) {
            return self.executor.snapshot(slot, has_pages);
        }, nb::arg("slot"), nb::arg("has_pages") = true)
        .def("blank_snapshot", [](BoundExecutor& self, std::size_t length, const Ids& unfed_tokens) {
            return self.executor.blank_snapshot(length, view(unfed_tokens));
        })
        .def("restore", [](BoundExecutor& self, std::size_t slot, const Snapshot& snapshot) {
            self.executor.restore(slot, snapshot);
        })
        .def("release", [](BoundExecutor& self, std::size_t slot) { self.executor.release(slot); })
        .def("missing_pages", [](BoundExecutor& self, const Table& segments) {
            return self.executor.missing_pages(BoundExecutor::parse(segments));
        })
        .def("seconds", &BoundExecutor::seconds)
        .def_prop_rw("times_ops", [](BoundExecutor& self) { return self.executor.times_ops; },
                     [](BoundExecutor& self, bool value) { self.executor.times_ops = value; })
        .def_prop_ro("free_pages", [](BoundExecutor& self) { return self.executor.pages().free_pages(); })
        .def_prop_ro("total_pages", [](BoundExecutor& self) { return self.executor.pages().total_pages(); })
        .def_prop_ro("state_bytes", [](BoundExecutor& self) { return self.executor.state_floats() * sizeof(float); })
        .def_prop_ro("row_bytes", [](BoundExecutor& self) {
            return padded(self.executor.hidden_width()) * sizeof(float);
        })
        .def_prop_ro("page_bytes", [](BoundExecutor& self) { return self.executor.pages().layout().page_bytes(); });
}

}  // namespace trtnemo
