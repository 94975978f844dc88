"""Kernels that begin before those before them have ended."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest
from triton.runtime.interpreter import InterpretedFunction

MODULES = [
    "trtnemo.backends.cuda.kernels.attention",
    "trtnemo.backends.cuda.kernels.draw",
    "trtnemo.backends.cuda.kernels.norm",
    "trtnemo.backends.cuda.kernels.product",
    "trtnemo.plugins.latent_moe.triton.experts",
    "trtnemo.plugins.latent_moe.triton.native",
    "trtnemo.plugins.latent_moe.triton.route",
    "trtnemo.plugins.mamba2.triton.scan",
    "trtnemo.plugins.mamba2.triton.step",
]


def kernels() -> list[Any]:
    found = []
    for name in MODULES:
        members = vars(importlib.import_module(name)).items()
        found += [pytest.param(kernel.fn, id=called) for called, kernel in members if called.endswith("_kernel")]
        assert all(isinstance(kernel, InterpretedFunction) for called, kernel in members if called.endswith("_kernel"))
    return found


@pytest.mark.parametrize("kernel", kernels())
def test_a_kernel_waits_for_those_before_it_before_anything_else(kernel: Any) -> None:
    """One that read before it waited would be right in the interpreter, and wrong on a device, now and then."""
    body = inspect.getsource(kernel).split('"""')[2].strip()
    assert body.startswith("follow()\n")
