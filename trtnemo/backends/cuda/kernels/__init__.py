"""Kernels of the graph's own ops."""
