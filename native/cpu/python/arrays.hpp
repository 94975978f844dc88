// numpy's arrays as the bindings take and give them.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

namespace trtnemo {

namespace nb = nanobind;

using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ids = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Table = nb::ndarray<const std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// Memory that an array will own.
template <typename Element>
Element* owned(std::size_t count, nb::capsule& owner) {
    auto memory = std::make_unique<Element[]>(std::max<std::size_t>(1, count));
    Element* data = memory.release();
    owner = nb::capsule(data, [](void* pointer) noexcept { delete[] static_cast<Element*>(pointer); });
    return data;
}

inline std::span<const std::int64_t> view(const Ids& ids) { return {ids.data(), ids.shape(0)}; }

}  // namespace trtnemo
