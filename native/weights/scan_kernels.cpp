// Compiled once for each form; TRTNEMO_KERNELS names its namespace. All forms count the same.
#include <algorithm>
#include <bit>

#include "codes.hpp"
#include "elements.hpp"
#include "scan.hpp"

namespace trtnemo::TRTNEMO_KERNELS {

using namespace weights;

namespace {

constexpr std::uint32_t kInfinity = 0x7F800000U;
constexpr std::size_t kLanes = 16, kRun = 4096;  // sums are kept in float32 for a run, in order for every form

struct RowCounts {
    std::uint32_t nans = 0, infinities = 0, zeros = 0, largest = 0;
    double squares = 0.0;
};

template <class Element>
RowCounts scan_run(const typename Element::Bits* values, std::size_t count) {
    std::uint32_t nans[kLanes] = {}, infinities[kLanes] = {}, zeros[kLanes] = {}, largest[kLanes] = {};
    float squares[kLanes] = {};
    for (std::size_t i = 0; i < count; i += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const std::uint32_t bits = bits_of(Element::widen(values[i + lane])) & kMagnitude;
            const std::uint32_t finite = 0U - static_cast<std::uint32_t>(bits < kInfinity);
            const std::uint32_t kept = bits & finite;
            nans[lane] += static_cast<std::uint32_t>(bits > kInfinity);
            infinities[lane] += static_cast<std::uint32_t>(bits == kInfinity);
            zeros[lane] += static_cast<std::uint32_t>(bits == 0);
            largest[lane] = std::max(largest[lane], kept);
            const float value = std::bit_cast<float>(kept);
            squares[lane] += value * value;
        }
    }
    RowCounts found;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        found.nans += nans[lane];
        found.infinities += infinities[lane];
        found.zeros += zeros[lane];
        found.largest = std::max(found.largest, largest[lane]);
        found.squares += static_cast<double>(squares[lane]);
    }
    return found;
}

template <class Element>
RowCounts scan_row(const typename Element::Bits* values, std::size_t count) {
    RowCounts found;
    const auto add = [&](const RowCounts& run) {
        found.nans += run.nans;
        found.infinities += run.infinities;
        found.zeros += run.zeros;
        found.largest = std::max(found.largest, run.largest);
        found.squares += run.squares;
    };
    std::size_t at = 0;
    for (; at + kLanes <= count; at += std::min(kRun, (count - at) / kLanes * kLanes)) {
        add(scan_run<Element>(values + at, std::min(kRun, (count - at) / kLanes * kLanes)));
    }
    if (at < count) {
        typename Element::Bits rest[kLanes] = {};
        std::copy(values + at, values + count, rest);
        add(scan_run<Element>(rest, kLanes));
        found.zeros -= static_cast<std::uint32_t>(kLanes - (count - at));
    }
    return found;
}

template <class Element>
void scan_numbers(const void* data, std::size_t rows, std::size_t columns, NumberCounts& counts) {
    const auto* values = static_cast<const typename Element::Bits*>(data);
    for (std::size_t row = 0; row < rows; ++row) {
        const RowCounts found = scan_row<Element>(values + row * columns, columns);
        counts.nans += found.nans;
        counts.infinities += found.infinities;
        counts.zeros += found.zeros;
        if (found.nans + found.infinities != 0) {
            counts.first_not_finite = std::min<std::uint64_t>(counts.first_not_finite, row);
        }
        if (found.zeros == columns) {
            counts.zero_rows += 1;
            counts.first_zero_row = std::min<std::uint64_t>(counts.first_zero_row, row);
        }
        if (const float largest = std::bit_cast<float>(found.largest); largest > counts.largest) {
            counts.largest = largest;
            counts.largest_row = row;
            counts.squares += counts.row_squares;
            counts.row_squares = found.squares;
        } else {
            counts.squares += found.squares;
        }
    }
}

void scan_codes(const std::uint8_t* codes, std::size_t rows, std::size_t columns, std::uint8_t mask, CodeCounts& counts) {
    // four tables in turn, so that a byte which comes again does not wait for its own count
    std::uint32_t tables[4][256];
    for (std::size_t row = 0; row < rows; ++row, codes += columns) {
        if (row % 1024 == 0) {  // before a count can overflow: rows are far shorter than 2^22
            for (auto& table : tables) std::fill(std::begin(table), std::end(table), 0U);
        }
        std::uint8_t any = 0;
        for (std::size_t i = 0; i < columns; ++i) {
            any |= codes[i];
        }
        std::size_t i = 0;
        for (; i + 4 <= columns; i += 4) {
            for (std::size_t table = 0; table < 4; ++table) tables[table][codes[i + table]] += 1;
        }
        for (; i < columns; ++i) tables[0][codes[i]] += 1;
        if ((any & mask) == 0) {
            counts.zero_rows += 1;
            counts.first_zero_row = std::min<std::uint64_t>(counts.first_zero_row, row);
        }
        if (row % 1024 == 1023 || row + 1 == rows) {
            for (std::size_t byte = 0; byte < 256; ++byte) {
                for (const auto& table : tables) counts.bytes[byte] += table[byte];
            }
        }
    }
}

}  // namespace

extern const Scanner kScanner = {
    .bf16 = scan_numbers<Bf16>, .f16 = scan_numbers<F16>, .f32 = scan_numbers<F32>, .codes = scan_codes};

}  // namespace trtnemo::TRTNEMO_KERNELS
