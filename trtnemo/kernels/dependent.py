"""Programmatic dependent launch: a kernel's programs begin while the last ones of the kernel before still run.

From 9.0 on, and where the launch asks for it (`Launcher.overlaps`); else nothing of it is in a kernel.
"""

from __future__ import annotations

import triton.language as tl
from triton.language.target_info import cuda_capability_geq

from trtnemo.kernels.helper import helper
from trtnemo.kernels.mode import is_interpreted

_INTERPRETED = tl.constexpr(is_interpreted())


@helper
def follow():
    """Let the next kernel's programs begin, and wait for all that was launched before: first in every kernel.

    A kernel that did not wait would let the one behind it read what the one before it has yet to write.
    """
    if not _INTERPRETED:
        if cuda_capability_geq(9, 0):
            tl.extra.cuda.gdc_launch_dependents()
            tl.extra.cuda.gdc_wait()
