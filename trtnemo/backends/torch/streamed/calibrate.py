"""The largest magnitudes that layers see over texts, from which the scales of inputs, keys and values are made."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from trtnemo.backends.torch.streamed.run import Texts, count_nodes, require_target, run_streamed
from trtnemo.backends.torch.streamed.weights import StreamedWeights
from trtnemo.checkpoint import Checkpoint
from trtnemo.network import NemotronH

_EXPERT = re.compile(r"(.+\.experts)\.\d+\.(.+)")
_CACHED = (".k_proj", ".v_proj")


@dataclass(frozen=True)
class Calibration:
    """Largest magnitudes by module: of a linear layer's inputs, and of what k_proj and v_proj give."""

    inputs: dict[str, float]
    cached: dict[str, float]
    tokens: int
    texts: int


def calibrate(
    checkpoint: Checkpoint, texts: Texts, report: Callable[[str, int, int], None] = lambda what, done, total: None
) -> Calibration:
    """Return what the layers of the target network see over token ids of texts; report hears of (layer, nodes, nodes).

    Weights are read once, tensor by tensor; memory holds the activations of all tokens between two nodes, and one
    weight in float32. The MTP head is not run: no preset quantizes it. Raises CheckpointError.
    """
    require_target(checkpoint)
    graph = NemotronH.from_checkpoint(checkpoint).record_target()
    inputs: dict[str, float] = {}

    def hear(module: str, x: Tensor) -> None:
        if x.numel():
            inputs[module] = _larger(inputs.get(module, 0.0), float(x.abs().max()))

    cached: dict[str, float] = {}
    total = count_nodes(graph)
    for done, (node, value) in enumerate(run_streamed(graph, StreamedWeights(checkpoint, graph, hear), texts), 1):
        if node.name.endswith(_CACHED):
            cached[node.name] = float(value.abs().max())
        report(".".join(node.name.split(".")[:3]), done, total)
    _share_among_experts(checkpoint, inputs)
    return Calibration(inputs, cached, sum(map(len, texts)), len(texts))


def _share_among_experts(checkpoint: Checkpoint, inputs: dict[str, float]) -> None:
    """Give all experts of a layer the largest that one saw, as ModelOpt does: servers have one scale for all."""
    largest: dict[tuple[str, str], float] = {}
    for module, value in inputs.items():
        match = _EXPERT.fullmatch(module)
        if match:
            key = match[1], match[2]
            largest[key] = _larger(largest.get(key, 0.0), value)
    for (experts, projection), value in largest.items():
        for expert in range(checkpoint.config.n_routed_experts):
            inputs[f"{experts}.{expert}.{projection}"] = value


def _larger(one: float, other: float) -> float:
    """Return the larger; NaN where one is, which Python's own comparison would lose."""
    return one if one > other or math.isnan(one) else other
