"""Functions that kernels call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import triton

from trtnemo.kernels.mode import is_interpreted


def helper(function: Callable[..., Any]) -> Any:
    """Return a function that kernels may call: compiled into them, or, interpreted, called as it stands.

    The interpreter takes its language apart and puts it together again at each call of a function of its own.
    """
    return function if is_interpreted() else triton.jit(function)
