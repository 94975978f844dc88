"""Our runtime for NVIDIA GPUs from compute capability 8.0: torch tensors, Triton kernels, the shared slot book."""
