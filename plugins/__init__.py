"""Our own ops, one folder each: what it computes (`op`), the naive truth (`reference`), and its kernels."""
