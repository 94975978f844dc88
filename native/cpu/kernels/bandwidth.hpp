// What this machine's memory gives to threads that do nothing but read.
#pragma once

#include <cstddef>

namespace trtnemo {

// Bytes a second over `bytes` of memory, the best of `repeats` passes.
double measure_bandwidth(std::size_t bytes, std::size_t threads, std::size_t repeats);

}  // namespace trtnemo
