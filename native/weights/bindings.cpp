// Encoding of weights, for Python: tensors as the bytes they are stored in, results into memory that is given.
#include "bindings.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <string>

#include "encode.hpp"
#include "scan.hpp"

namespace nb = nanobind;

namespace trtnemo {

namespace {

using Given = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Counts = nb::ndarray<std::uint64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Taken = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void require(bool holds, const char* what) {
    if (!holds) {
        throw nb::value_error(what);
    }
}

// Numbers as they are stored, and what encodes them.
struct Numbers {
    const weights::Encoder& encoder;
    std::size_t count;

    Numbers(const Given& data, const std::string& element, const std::string& kernels)
        : encoder(find(element, kernels)) {
        const std::size_t size = element == "F32" ? 4 : 2;
        require(data.shape(0) % size == 0, "the bytes end inside an element");
        require(reinterpret_cast<std::uintptr_t>(data.data()) % size == 0, "the bytes are not aligned");
        count = data.shape(0) / size;
    }

    static const weights::Encoder& find(const std::string& element, const std::string& kernels) {
        const weights::Encoders* form = weights::find_encoders(kernels);
        require(form != nullptr, "this machine has no such kernels");
        require(element == "BF16" || element == "F16" || element == "F32", "weights are BF16, F16 or F32");
        return element == "BF16" ? form->bf16 : element == "F16" ? form->f16 : form->f32;
    }
};

float largest(const Given& data, const std::string& element, const std::string& kernels) {
    const Numbers numbers(data, element, kernels);
    nb::gil_scoped_release unlocked;
    return numbers.encoder.largest(data.data(), numbers.count);
}

void encode_fp8(const Given& data, const std::string& element, float scale, const Taken& codes,
                const std::string& kernels) {
    const Numbers numbers(data, element, kernels);
    require(scale > 0.0F, "a scale is above 0");
    require(codes.shape(0) == numbers.count, "one code is written for each number");
    nb::gil_scoped_release unlocked;
    numbers.encoder.fp8(data.data(), numbers.count, scale, codes.data());
}

void encode_nvfp4(const Given& data, const std::string& element, float scale_2, const Taken& packed,
                  const Taken& block_scales, const std::string& kernels,
                  const std::string& search) {
    const Numbers numbers(data, element, kernels);
    require(search == "max" || search == "four-over-six" || search == "mse", "there is no such search");
    const auto chosen = search == "max"   ? weights::Search::kLargest
                        : search == "mse" ? weights::Search::kAll
                                          : weights::Search::kFourOverSix;
    require(scale_2 > 0.0F, "a scale is above 0");
    require(numbers.count % weights::kBlock == 0, "rows are cut into blocks of 16");
    require(packed.shape(0) == numbers.count / 2, "one byte is written for two numbers");
    require(block_scales.shape(0) == numbers.count / weights::kBlock, "one scale is written for a block");
    nb::gil_scoped_release unlocked;
    numbers.encoder.nvfp4(data.data(), numbers.count / weights::kBlock, scale_2, chosen, packed.data(),
                          block_scales.data());
}

std::size_t rows_of(const Given& data, std::size_t columns, std::size_t size) {
    require(columns > 0 && data.shape(0) % (columns * size) == 0, "rows are whole");
    return data.shape(0) / (columns * size);
}

// The place of a row, or nothing where there is none.
nb::object place(std::uint64_t row) { return row == ~0ULL ? nb::none() : nb::object(nb::int_(row)); }

nb::dict scan_numbers(const Given& data, const std::string& element, std::size_t columns, const std::string& kernels) {
    const Numbers numbers(data, element, kernels);  // checks the bytes, and the form
    const weights::Scanner& scanner = *weights::find_scanner(kernels);
    const auto scan = element == "BF16" ? scanner.bf16 : element == "F16" ? scanner.f16 : scanner.f32;
    const std::size_t rows = rows_of(data, columns, element == "F32" ? 4 : 2);
    weights::NumberCounts counts;
    {
        nb::gil_scoped_release unlocked;
        scan(data.data(), rows, columns, counts);
    }
    nb::dict found;
    found["nans"] = counts.nans;
    found["infinities"] = counts.infinities;
    found["zeros"] = counts.zeros;
    found["zero_rows"] = counts.zero_rows;
    found["first_not_finite"] = place(counts.first_not_finite);
    found["first_zero_row"] = place(counts.first_zero_row);
    found["largest_row"] = counts.largest_row;
    found["largest"] = counts.largest;
    found["squares"] = counts.squares;
    found["row_squares"] = counts.row_squares;
    return found;
}

nb::dict scan_codes(const Given& data, std::size_t columns, std::uint8_t mask, const Counts& bytes,
                    const std::string& kernels) {
    const weights::Scanner* scanner = weights::find_scanner(kernels);
    require(scanner != nullptr, "this machine has no such kernels");
    require(bytes.shape(0) == 256, "there are 256 bytes");
    const std::size_t rows = rows_of(data, columns, 1);
    weights::CodeCounts counts;
    {
        nb::gil_scoped_release unlocked;
        scanner->codes(data.data(), rows, columns, mask, counts);
    }
    for (std::size_t byte = 0; byte < 256; ++byte) bytes.data()[byte] += counts.bytes[byte];
    nb::dict found;
    found["zero_rows"] = counts.zero_rows;
    found["first_zero_row"] = place(counts.first_zero_row);
    return found;
}

std::uint64_t digest(const Given& data, std::uint64_t before) {
    nb::gil_scoped_release unlocked;
    return weights::digest(data.data(), data.shape(0), before);
}

}  // namespace

void bind_weights(nb::module_& module) {
    module.def("largest_magnitude", &largest, nb::arg("data"), nb::arg("element"), nb::arg("kernels"),
               "Return the largest magnitude; infinity or NaN where one of the numbers is.");
    module.def("encode_fp8", &encode_fp8, nb::arg("data"), nb::arg("element"), nb::arg("scale"), nb::arg("codes"),
               nb::arg("kernels"),
               "Write E4M3 codes of numbers over a scale.");
    module.def("encode_nvfp4", &encode_nvfp4, nb::arg("data"), nb::arg("element"), nb::arg("scale_2"),
               nb::arg("packed"), nb::arg("block_scales"), nb::arg("kernels"), nb::arg("search"),
               "Write E2M1 codes, low nibble first, and the E4M3 scale of each 16 numbers.");
    module.def("scan_numbers", &scan_numbers, nb::arg("data"), nb::arg("element"), nb::arg("columns"),
               nb::arg("kernels"), "Return what rows of numbers hold.");
    module.def("scan_codes", &scan_codes, nb::arg("data"), nb::arg("columns"), nb::arg("mask"), nb::arg("bytes"),
               nb::arg("kernels"), "Add how often each byte is there, and return the rows without a number but zero.");
    module.def("digest", &digest, nb::arg("data"), nb::arg("before"), "Return a number that differs with the bytes.");
}

}  // namespace trtnemo
