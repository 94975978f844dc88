"""Kernels in the interpreter: Triton decides when they are defined, so before any test imports them."""

from __future__ import annotations

from trtnemo.kernels.mode import interpret_kernels

interpret_kernels()
