// Plain weights to FP8 and NVFP4, with the bits of ModelOpt 0.47 for max calibration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trtnemo::weights {

inline constexpr std::size_t kBlock = 16;

// How a block's scale is chosen: by its largest number, which becomes 6; 6 or 4, whichever leaves less; or of all scales
// that there are, the one that leaves least.
enum class Search { kLargest, kFourOverSix, kAll };

// What is done with numbers of one element type, which lie at `values`.
struct Encoder {
    // The largest magnitude; infinity or NaN where one of the numbers is.
    float (*largest)(const void* values, std::size_t count);
    // codes[i] = e4m3(values[i] / scale), to the nearest, of two the even one. A quotient of 16-bit numbers is rounded to
    // BF16 first, as torch divides a BF16 tensor by a scalar.
    void (*fp8)(const void* values, std::size_t count, float scale, std::uint8_t* codes);
    // packed: eight bytes a block, low nibble first; block_scales: one E4M3 code a block. scale_2 is above 0.
    void (*nvfp4)(const void* values, std::size_t blocks, float scale_2, Search search, std::uint8_t* packed,
                  std::uint8_t* block_scales);
};

struct Encoders {
    Encoder bf16, f16, f32;
};

// Those of a form of the kernels that this machine can run, by its name; nullptr where there is none.
const Encoders* find_encoders(std::string_view kernels);

}  // namespace trtnemo::weights
