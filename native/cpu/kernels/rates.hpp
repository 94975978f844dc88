// How many products a second this machine's registers make: what prompts are measured against.
#pragma once

#include <cstddef>

#include "kernels.hpp"

namespace trtnemo {

// Multiply-adds a second of all threads together, operands in registers; 0 where the machine has no such instruction.
struct ProductRates {
    double bytes;      // of two bytes, added to 32 bits
    double float32;    // fused
    double bfloat16;   // of two bfloat16 numbers, added to float32
};

ProductRates measure_products(const Kernels& kernels, std::size_t threads, std::size_t repeats);

}  // namespace trtnemo
