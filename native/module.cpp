// Python bindings of trtnemo's native functions.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <memory>

#include "cpu/python/bindings.hpp"
#include "nvfp4.hpp"
#include "weights/bindings.hpp"

namespace nb = nanobind;

using Codes = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Scales = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Values = nb::ndarray<nb::numpy, float, nb::ndim<2>, nb::c_contig>;

static Values decode_nvfp4(const Codes& packed, const Scales& scale) {
    const std::size_t rows = packed.shape(0), columns = packed.shape(1) * 2;
    if (columns % trtnemo::kBlockSize != 0 || scale.shape(0) != rows || scale.shape(1) != columns / trtnemo::kBlockSize) {
        throw nb::value_error("packed codes and block scales do not belong together");
    }
    auto values = std::make_unique<float[]>(rows * columns);
    {
        nb::gil_scoped_release unlocked;
        trtnemo::decode_nvfp4(packed.data(), scale.data(), rows, columns, values.get());
    }
    float* data = values.release();
    nb::capsule owner(data, [](void* pointer) noexcept { delete[] static_cast<float*>(pointer); });
    return Values(data, {rows, columns}, owner);
}

NB_MODULE(_native, module) {
    module.doc() = "Native functions of trtnemo.";
    module.def("decode_nvfp4", &decode_nvfp4, nb::arg("packed"), nb::arg("scale"),
               "Return E2M1 codes [rows, columns/2] times float32 block scales [rows, columns/16].");
    trtnemo::bind_cpu(module);
    trtnemo::bind_weights(module);
}
