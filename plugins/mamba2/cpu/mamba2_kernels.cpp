// Compiled once for each form; TRTNEMO_KERNELS names its namespace.
#include "mamba2.hpp"
#include "op_registry.hpp"

#define TRTNEMO_TEXT(name) #name
#define TRTNEMO_NAME(name) TRTNEMO_TEXT(name)

namespace trtnemo::TRTNEMO_KERNELS {

static const Mamba2Kernels kMamba2 = {.convolve = convolve, .scan = scan, .gated_norm = gated_norm};
static const RegisterKernels kRegistered("mamba2", TRTNEMO_NAME(TRTNEMO_KERNELS), &kMamba2);

}  // namespace trtnemo::TRTNEMO_KERNELS
