"""Kernels in the interpreter: Triton decides when they are defined, so before any test imports them."""

from __future__ import annotations

from typing import Any

import pytest

from trtnemo.kernels.mode import interpret_kernels

interpret_kernels()

_LAYER = "backbone.layers.1.mixer."
_WEIGHTS = {
    "fp8": f"{_LAYER}shared_experts.up_proj.weight",
    "nvfp4": f"{_LAYER}shared_experts.down_proj.weight",
    "bf16": f"{_LAYER}fc2_latent_proj.weight",
}


@pytest.fixture
def make_weight() -> Any:
    """Return a function of (format, family) that gives a weight of `tiny`, packed, and its values."""
    from trtnemo.backends.torch.weights import load_weight
    from trtnemo.checkpoint import Checkpoint, WeightFormat
    from trtnemo.graph import ParameterSpec
    from trtnemo.kernels.weight import read_weight

    formats = {"fp8": WeightFormat.FP8, "nvfp4": WeightFormat.NVFP4, "bf16": WeightFormat.PLAIN}
    checkpoint = Checkpoint.open("tiny")

    def make(form: str, family: Any) -> Any:
        rows, columns = checkpoint.tensors[_WEIGHTS[form]].shape
        shape = (rows, columns * 2 if form == "nvfp4" else columns)
        spec = ParameterSpec(name=_WEIGHTS[form], shape=shape, format=formats[form])
        return read_weight(checkpoint, spec, family), load_weight(checkpoint, spec).values

    return make
