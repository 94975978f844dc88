"""Weights as the torch lowering keeps them: decoded to float32 once, at load."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trtnemo.checkpoint import Checkpoint, WeightFormat
from trtnemo.checkpoint.format.codecs import decode_fp8, decode_nvfp4, decode_plain
from trtnemo.graph import Graph, ParameterSpec


@dataclass(frozen=True)
class Weight:
    """A decoded weight, its stored format, and the static scale of its input where it has one.

    heard: is called with every input that it is multiplied with, before that is rounded.
    """

    values: Tensor
    format: WeightFormat
    input_scale: float | None = None
    heard: Callable[[Tensor], None] | None = None


# a bank has one weight per expert
Weights = Mapping[str, Weight | Sequence[Weight]]


def load_weights(checkpoint: Checkpoint, *graphs: Graph) -> Weights:
    """Return every parameter that the graphs name, decoded to float32; raises CheckpointError."""
    specs = {name: spec for graph in graphs for name, spec in graph.parameters.items()}
    return {name: _load(checkpoint, spec) for name, spec in specs.items()}


def _load(checkpoint: Checkpoint, spec: ParameterSpec) -> Weight | tuple[Weight, ...]:
    if spec.copies is None:
        return load_weight(checkpoint, spec)
    return tuple(load_weight(checkpoint, member) for member in spec.members())


def load_weight(checkpoint: Checkpoint, spec: ParameterSpec) -> Weight:
    """Return one weight decoded to float32."""
    raw = checkpoint.read(spec.name)
    if spec.format is WeightFormat.PLAIN:
        return Weight(torch.from_numpy(np.array(decode_plain(raw))), spec.format)
    codes = raw.data.astype(np.uint8, copy=False)
    if spec.format is WeightFormat.FP8:
        values = decode_fp8(codes, _scalar(checkpoint, f"{spec.module}.weight_scale"))
    else:
        block_scale = checkpoint.read(f"{spec.module}.weight_scale").data.astype(np.uint8, copy=False)
        values = decode_nvfp4(codes, block_scale, _scalar(checkpoint, f"{spec.module}.weight_scale_2"))
    input_scale = float(_scalar(checkpoint, f"{spec.module}.input_scale")) if spec.input_scale else None
    return Weight(torch.from_numpy(np.array(values)), spec.format, input_scale)


def _scalar(checkpoint: Checkpoint, name: str) -> np.ndarray[tuple[()], np.dtype[np.float32]]:
    return decode_plain(checkpoint.read(name)).reshape(())
