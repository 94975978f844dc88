"""The native kernels for Arm, built and run on another machine."""
