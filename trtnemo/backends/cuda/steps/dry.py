"""Steps without numbers: every kernel of a graph is compiled and counted."""

from __future__ import annotations

import torch

from trtnemo.backends.cuda.executor import CudaExecutor
from trtnemo.backends.cuda.steps.draw import draw_tokens
from trtnemo.backends.step import Segment
from trtnemo.graph import Graph


def dry_step(executor: CudaExecutor, graph: Graph, lengths: list[int], position: int, *, verify: bool = False) -> int:
    """Return the launches of a step over sequences of so many tokens each, `position` tokens behind each."""
    segments, start = [], 0
    for slot, length in enumerate(lengths):
        segments.append(Segment(slot, start, length, position, verify))
        start += length
    device = executor.device
    ids = torch.empty(start, dtype=torch.int64, device=device)
    inputs = {"hidden_states": torch.empty(start, _width(graph), device=device)} if graph is executor.mtp else {}
    before = executor.runner.launch.total
    with torch.inference_mode():
        rows = torch.empty(len(lengths), dtype=torch.int64, device=device)
        outputs = executor.runner.run(graph, segments, [0] * len(lengths), ids, inputs, rows)
        _draw(executor, outputs["logits"].rows(), restricted=False, guess=graph is executor.mtp)
    return executor.runner.launch.total - before


def dry_draw(executor: CudaExecutor, graph: Graph, rows: int) -> None:
    """Compile what draws tokens whose candidates are limited."""
    vocabulary = graph.values[graph.outputs["logits"]].width
    with torch.inference_mode():
        logits = torch.empty(rows, vocabulary, device=executor.device)
        _draw(executor, logits, restricted=True, guess=graph is executor.mtp)


def dry_replay(executor: CudaExecutor) -> None:
    """Compile what takes accepted tokens into the states for a snapshot."""
    with torch.inference_mode():
        executor.runner.replay([Segment(0, 0, 0, 100)], [1])


def _draw(executor: CudaExecutor, logits: torch.Tensor, *, restricted: bool, guess: bool) -> None:
    real = torch.empty(len(logits), 4, dtype=torch.float64, device=executor.device)
    whole = torch.empty(len(logits), 4, dtype=torch.int64, device=executor.device)
    draw_tokens(executor.runner.launch, logits, real, whole, restricted=restricted, guess=guess)


def _width(graph: Graph) -> int:
    return int(graph.inputs["hidden_states"].shape[-1])
