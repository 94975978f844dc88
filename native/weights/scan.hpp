// What numbers and codes look like, in one pass over their bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trtnemo::weights {

// Of the numbers of a plain tensor, row by row. Rows are counted from the first that was given.
struct NumberCounts {
    std::uint64_t nans = 0, infinities = 0, zeros = 0, zero_rows = 0;
    std::uint64_t first_not_finite = ~0ULL, first_zero_row = ~0ULL, largest_row = 0;
    float largest = 0.0F;  // of the finite ones
    double squares = 0.0, row_squares = 0.0;  // sum over the finite ones of all other rows; of the largest one's row
};

// Of codes: how often each byte is there, and which rows are nothing but zeros under a mask.
struct CodeCounts {
    std::uint64_t bytes[256] = {};
    std::uint64_t zero_rows = 0, first_zero_row = ~0ULL;
};

struct Scanner {
    void (*bf16)(const void* values, std::size_t rows, std::size_t columns, NumberCounts& counts);
    void (*f16)(const void* values, std::size_t rows, std::size_t columns, NumberCounts& counts);
    void (*f32)(const void* values, std::size_t rows, std::size_t columns, NumberCounts& counts);
    // mask: the bits that make a number other than zero
    void (*codes)(const std::uint8_t* codes, std::size_t rows, std::size_t columns, std::uint8_t mask, CodeCounts& counts);
};

// That of a form of the kernels that this machine can run, by its name; nullptr where there is none.
const Scanner* find_scanner(std::string_view kernels);

// A number that differs for different bytes, for all but one in 2^64; begin with 0, and go on with what came before.
std::uint64_t digest(const void* data, std::size_t size, std::uint64_t before);

}  // namespace trtnemo::weights
