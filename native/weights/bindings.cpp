// Encoding of weights, for Python: tensors as the bytes they are stored in, results into memory that is given.
#include "bindings.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <string>

#include "elements.hpp"
#include "encode.hpp"

namespace nb = nanobind;

namespace trtnemo {

namespace {

using Given = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Taken = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void require(bool holds, const char* what) {
    if (!holds) {
        throw nb::value_error(what);
    }
}

// Calls `run` with the element type that safetensors names.
template <class Run>
void with_element(const std::string& name, const Run& run) {
    if (name == "BF16") {
        run(weights::Bf16{});
    } else if (name == "F16") {
        run(weights::F16{});
    } else if (name == "F32") {
        run(weights::F32{});
    } else {
        throw nb::value_error("weights are BF16, F16 or F32");
    }
}

template <class Element>
const typename Element::Bits* values_of(const Given& data) {
    using Bits = typename Element::Bits;
    require(data.shape(0) % sizeof(Bits) == 0, "the bytes end inside an element");
    require(reinterpret_cast<std::uintptr_t>(data.data()) % alignof(Bits) == 0, "the bytes are not aligned");
    return reinterpret_cast<const Bits*>(data.data());
}

float largest(const Given& data, const std::string& element) {
    float result = 0.0F;
    with_element(element, [&](auto kind) {
        using Element = decltype(kind);
        const auto* values = values_of<Element>(data);
        nb::gil_scoped_release unlocked;
        result = weights::largest<Element>(values, data.shape(0) / sizeof(typename Element::Bits));
    });
    return result;
}

void encode_fp8(const Given& data, const std::string& element, float scale, const Taken& codes) {
    require(scale > 0.0F, "a scale is above 0");
    with_element(element, [&](auto kind) {
        using Element = decltype(kind);
        const auto* values = values_of<Element>(data);
        const std::size_t count = data.shape(0) / sizeof(typename Element::Bits);
        require(codes.shape(0) == count, "one code is written for each number");
        nb::gil_scoped_release unlocked;
        weights::encode_fp8<Element>(values, count, scale, codes.data());
    });
}

void encode_nvfp4(const Given& data, const std::string& element, float scale_2, const Taken& packed,
                  const Taken& block_scales) {
    require(scale_2 > 0.0F, "a scale is above 0");
    with_element(element, [&](auto kind) {
        using Element = decltype(kind);
        const auto* values = values_of<Element>(data);
        const std::size_t count = data.shape(0) / sizeof(typename Element::Bits);
        require(count % weights::kBlock == 0, "rows are cut into blocks of 16");
        require(packed.shape(0) == count / 2, "one byte is written for two numbers");
        require(block_scales.shape(0) == count / weights::kBlock, "one scale is written for a block");
        nb::gil_scoped_release unlocked;
        weights::encode_nvfp4<Element>(values, count / weights::kBlock, scale_2, packed.data(), block_scales.data());
    });
}

}  // namespace

void bind_weights(nb::module_& module) {
    module.def("largest_magnitude", &largest, nb::arg("data"), nb::arg("element"),
               "Return the largest magnitude; infinity or NaN where one of the numbers is.");
    module.def("encode_fp8", &encode_fp8, nb::arg("data"), nb::arg("element"), nb::arg("scale"), nb::arg("codes"),
               "Write E4M3 codes of numbers over a scale.");
    module.def("encode_nvfp4", &encode_nvfp4, nb::arg("data"), nb::arg("element"), nb::arg("scale_2"),
               nb::arg("packed"), nb::arg("block_scales"),
               "Write E2M1 codes, low nibble first, and the E4M3 scale of each 16 numbers.");
}

}  // namespace trtnemo
