"""The kernels of latent_moe in Triton."""
