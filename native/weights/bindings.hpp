// What module.cpp needs to know of the encoding of weights.
#pragma once

#include <nanobind/nanobind.h>

namespace trtnemo {

void bind_weights(nanobind::module_& module);

}  // namespace trtnemo
