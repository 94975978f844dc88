"""Errors of a device, which its process does not outlive."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from trtnemo.errors import DeviceLostError

P = ParamSpec("P")
R = TypeVar("R")
# as torch and Triton begin them
_SIGNS = ("CUDA error", "CUDA driver error", "Triton Error [CUDA]", "cuBLAS", "CUBLAS_STATUS")


def on_device(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that runs without gradients, and raises DeviceLostError where the device reports an error.

    What runs out of memory is not lost: that error stays what it is.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with torch.inference_mode():
                return function(*args, **kwargs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            if not any(sign in str(error) for sign in _SIGNS):
                raise
            what = str(error).splitlines()[0]
            raise DeviceLostError(f"the GPU reports an error, and this process can use it no more: {what}") from error

    return run
