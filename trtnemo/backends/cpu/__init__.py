"""The native lowering: packed weights and C++ kernels, no torch."""
