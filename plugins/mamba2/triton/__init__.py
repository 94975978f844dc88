"""The kernels of mamba2 in Triton."""
