// What module.cpp needs to know of the CPU runtime.
#pragma once

#include <nanobind/nanobind.h>

namespace trtnemo {

void bind_cpu(nanobind::module_& module);

}  // namespace trtnemo
