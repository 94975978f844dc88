// The native executor, its weights and its packing, for Python.
#include "bindings.hpp"

#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <dlfcn.h>

#include <algorithm>

#include "arrays.hpp"
#include "bandwidth.hpp"
#include "builder.hpp"
#include "pack.hpp"
#include "rates.hpp"
#include "sampling.hpp"

namespace trtnemo {

namespace {

nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>> pack_matrix(const std::string& format, std::size_t rows,
                                                              std::size_t columns, const Bytes& weight,
                                                              const std::optional<Bytes>& block_scales) {
    const Matrix matrix{parse_format(format), rows, columns, nullptr, 1.0F};
    const bool is_nvfp4 = matrix.format == Format::kNvfp4;
    const std::size_t bits = matrix.format == Format::kFloat32 ? 32 : matrix.format == Format::kBfloat16 ? 16
                             : is_nvfp4                         ? 4
                                                                : 8;
    if (weight.shape(0) != rows * columns * bits / 8 || is_nvfp4 != block_scales.has_value() ||
        (is_nvfp4 && (columns % kBlockColumns || block_scales->shape(0) != rows * matrix.blocks()))) {
        throw nb::value_error("weight and scales do not have the sizes that were named");
    }
    nb::capsule owner;
    std::uint8_t* out = owned<std::uint8_t>(matrix.bytes(), owner);
    {
        nb::gil_scoped_release unlocked;
        pack(matrix, weight.data(), is_nvfp4 ? block_scales->data() : nullptr, out);
    }
    return {out, {matrix.bytes()}, owner};
}

using TokenMask = nb::ndarray<const std::uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <typename Element>
std::size_t sample_token(const nb::ndarray<const Element, nb::ndim<1>, nb::c_contig, nb::device::cpu>& logits,
                         double temperature, std::size_t top_k, double top_p, double min_p, std::uint64_t seed,
                         std::uint64_t place, const std::optional<TokenMask>& mask) {
    if (logits.shape(0) == 0 || !(temperature >= 0.0)) throw nb::value_error("there is nothing to draw from");
    std::span<const Element> row(logits.data(), logits.shape(0));
    const SamplingRule rule{temperature, top_k, top_p, min_p};
    if (!mask) {
        nb::gil_scoped_release unlocked;
        return sample(row, rule, seed, place);
    }
    static thread_local std::vector<Element> masked;
    if (!mask_row(row, {mask->data(), mask->shape(0)}, masked)) throw nb::value_error("the mask allows no token");
    nb::gil_scoped_release unlocked;
    return sample(std::span<const Element>(masked), rule, seed, place);
}

std::vector<std::string> kernel_names() {
    std::vector<std::string> names;
    for (const Kernels* kernels : usable_kernels()) names.emplace_back(kernels->name);
    return names;
}

template <typename Kind>
using Named = std::map<std::string, Kind>;

void build_op(GraphBuilder& builder, const std::string& kind, std::string name, const std::vector<std::size_t>& inputs,
              std::size_t output, Named<std::int64_t> sizes, Named<double> numbers, Named<std::size_t> vectors,
              Named<WeightPlace> matrices, Named<BankPlace> banks) {
    builder.op(kind, std::move(name), inputs, output,
               {std::move(sizes), std::move(numbers), std::move(vectors), std::move(matrices), std::move(banks)});
}

// Ops of a shared object register themselves when it is loaded; it stays loaded.
void load_ops(const std::string& path) {
    if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) throw nb::value_error(dlerror());
}

void bind_builder(nb::module_& module) {
    nb::class_<WeightPlace>(module, "WeightPlace")
        .def(nb::init<std::string, std::size_t, std::size_t, std::size_t, float>(), nb::arg("format"), nb::arg("rows"),
             nb::arg("columns"), nb::arg("offset"), nb::arg("scale"));
    nb::class_<BankPlace>(module, "BankPlace")
        .def(nb::init<WeightPlace, std::size_t, std::vector<float>>(), nb::arg("first"), nb::arg("stride"),
             nb::arg("scales"));
    nb::class_<GraphBuilder>(module, "GraphBuilder")
        .def("value", &GraphBuilder::value, nb::arg("width"), nb::arg("buffer"), nb::arg("is_rows"))
        .def("embedding", &GraphBuilder::embedding)
        .def("rms_norm", &GraphBuilder::rms_norm)
        .def("linear", &GraphBuilder::linear)
        .def("relu2", &GraphBuilder::relu2)
        .def("add", &GraphBuilder::add)
        .def("concat", &GraphBuilder::concat)
        .def("select_rows", &GraphBuilder::select_rows)
        .def("attention", &GraphBuilder::attention)
        .def("op", &build_op, nb::arg("kind"), nb::arg("name"), nb::arg("inputs"), nb::arg("output"), nb::kw_only(),
             nb::arg("sizes"), nb::arg("numbers"), nb::arg("vectors"), nb::arg("matrices"), nb::arg("banks"))
        .def("feeds_cache", &GraphBuilder::feeds_cache)
        .def("outputs", &GraphBuilder::outputs, nb::arg("hidden"), nb::arg("logits"), nb::arg("hidden_input"));
}

}  // namespace

void bind_cpu(nb::module_& module) {
    module.attr("PAGE_TOKENS") = kPageTokens;
    module.attr("ALIGNMENT") = kAlignment;
    module.def("kernel_names", &kernel_names, "Return the kernels that this machine can run, fastest first.");
    module.def("pack_matrix", &pack_matrix, nb::arg("format"), nb::arg("rows"), nb::arg("columns"), nb::arg("weight"),
               nb::arg("block_scales").none(), "Return a matrix in the packed layout, as bytes.");
    module.def("measure_bandwidth", &measure_bandwidth, nb::arg("bytes"), nb::arg("threads"), nb::arg("repeats"),
               nb::call_guard<nb::gil_scoped_release>(), "Return the bytes a second that threads read from memory.");
    module.def("sample_token", &sample_token<float>, nb::arg("logits").noconvert(), nb::arg("temperature"), nb::arg("top_k"),
               nb::arg("top_p"), nb::arg("min_p"), nb::arg("seed"), nb::arg("place"), nb::arg("mask") = nb::none(),
               "Return the token that is drawn, of those that the mask allows.");
    module.def("sample_token", &sample_token<double>, nb::arg("logits").noconvert(), nb::arg("temperature"), nb::arg("top_k"),
               nb::arg("top_p"), nb::arg("min_p"), nb::arg("seed"), nb::arg("place"), nb::arg("mask") = nb::none());
    module.def("measure_products", [](const std::string& name, std::size_t threads, std::size_t repeats) {
        const ProductRates rates = measure_products(kernels_named(name), threads, repeats);
        return std::tuple(rates.bytes, rates.float32, rates.bfloat16);
    }, nb::arg("kernels"), nb::arg("threads"), nb::arg("repeats"), nb::call_guard<nb::gil_scoped_release>(),
               "Return the products a second of bytes, of float32 and of bfloat16 numbers.");
    module.def("load_ops", &load_ops, nb::arg("path"), "Load a shared object whose native ops register themselves.");
    bind_builder(module);
    bind_executor(module);
}

}  // namespace trtnemo
