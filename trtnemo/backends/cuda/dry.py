"""Steps without numbers: every kernel of a graph is compiled and counted."""

from __future__ import annotations

import torch

from trtnemo.backends.cuda.executor import CudaExecutor
from trtnemo.backends.step import Segment
from trtnemo.graph import Graph


def dry_step(executor: CudaExecutor, graph: Graph, lengths: list[int], position: int, *, verify: bool = False) -> int:
    """Return the launches of a step over sequences of so many tokens each, `position` tokens behind each."""
    segments, start = [], 0
    for slot, length in enumerate(lengths):
        segments.append(Segment(slot, start, length, position, verify))
        start += length
    device = executor.launch.device
    ids = torch.empty(start, dtype=torch.int64, device=device)
    inputs = {"hidden_states": torch.empty(start, _width(graph), device=device)} if graph is executor.mtp else {}
    before = executor.launch.total
    with torch.inference_mode():
        rows = torch.empty(len(lengths), dtype=torch.int64, device=device)
        outputs = executor.run(graph, segments, [0] * len(lengths), ids, inputs, rows)
        outputs["logits"].rows()
    return executor.launch.total - before


def dry_replay(executor: CudaExecutor) -> None:
    """Compile what takes accepted tokens into the states for a snapshot."""
    with torch.inference_mode():
        executor.replay([Segment(0, 0, 0, 100)], [1])


def _width(graph: Graph) -> int:
    return int(graph.inputs["hidden_states"].shape[-1])
