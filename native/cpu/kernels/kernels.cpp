// Compiled once for each form; TRTNEMO_KERNELS names its namespace.
#include "kernels.hpp"

#include "attention.hpp"
#include "peak.hpp"
#include "product.hpp"
#include "rows.hpp"

#define TRTNEMO_TEXT(name) #name
#define TRTNEMO_NAME(name) TRTNEMO_TEXT(name)

namespace trtnemo::TRTNEMO_KERNELS {

extern const Kernels kKernels;
const Kernels kKernels = {
    .name = TRTNEMO_NAME(TRTNEMO_KERNELS),
    .multiply = multiply,
    .quantize8 = quantize8,
    .quantize16 = quantize16,
    .rms_norm = rms_norm,
    .relu2 = relu2,
    .add = add,
    .add_scaled = add_scaled,
    .sigmoid = sigmoid_row,
    .widen_bfloat16 = widen_bfloat16,
    .store_key = store_key,
    .store_value = store_value,
    .attend = attend,
    .multiply_bytes = multiply_bytes,
    .multiply_floats = multiply_floats,
};

}  // namespace trtnemo::TRTNEMO_KERNELS
