// The parts of the CPU runtime that become Python classes and functions.
#pragma once

#include <nanobind/nanobind.h>

namespace trtnemo {

void bind_cpu(nanobind::module_& module);
void bind_executor(nanobind::module_& module);

}  // namespace trtnemo
