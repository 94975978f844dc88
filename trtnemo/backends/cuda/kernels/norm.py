"""RMS norm of rows, where no product takes it in front."""

from __future__ import annotations

import triton
import triton.language as tl

from trtnemo.kernels.dependent import follow


@triton.jit
def norm_kernel(x_ptr, weight_ptr, out_ptr, width, stride, epsilon, BLOCK: tl.constexpr):
    """Write one row, normalized in float32."""
    follow()
    row, column = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    mask = column < width
    x = tl.load(x_ptr + row * stride + column, mask=mask, other=0.0).to(tl.float32)
    factor = tl.rsqrt(tl.sum(x * x, 0) / width + epsilon)
    weight = tl.load(weight_ptr + column, mask=mask, other=0.0).to(tl.float32)
    tl.store(out_ptr + row * width + column, x * factor * weight, mask=mask)
