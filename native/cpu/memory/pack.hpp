// From a checkpoint's rows to the packed layout (layout.hpp).
#pragma once

#include "layout.hpp"

namespace trtnemo {

// Writes matrix.bytes() to `out`, padding included. rows: as the checkpoint stores them, E2M1 pairs low nibble first;
// block_scales: E4M3 bytes [rows][columns / 16] of an NVFP4 matrix, else null. matrix.data and .scale are not read.
void pack(const Matrix& matrix, const std::uint8_t* rows, const std::uint8_t* block_scales, std::uint8_t* out);

}  // namespace trtnemo
