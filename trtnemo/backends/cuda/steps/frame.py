"""Captured steps by their shapes: of few tokens, of so many sequences, over so many keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trtnemo.backends.cuda.attention import SPAN, Reach
from trtnemo.backends.cuda.steps.capture import Captured, DeviceGraph, Tape
from trtnemo.backends.cuda.steps.draw import draw_tokens
from trtnemo.backends.cuda.steps.inputs import Size, StepInputs
from trtnemo.backends.cuda.steps.program import run_graph
from trtnemo.backends.cuda.steps.run import Runner
from trtnemo.backends.draw import Draw
from trtnemo.backends.step import Segment
from trtnemo.graph import Graph
from trtnemo.kernels.family import FEW_ROWS
from trtnemo.kernels.segments import WIDTH

_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96, 128)
MOST_ROWS = 128  # of a captured step


@dataclass(frozen=True)
class Outputs:
    """What a step gives: the token and the logits of each row that was asked for, and hidden states of every row."""

    tokens: Tensor
    logits: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class Shape:
    """What a step is captured for. spans: of the longest sequence's keys, rounded up to a power of two."""

    graph: str
    size: Size
    spans: int


class Frame:
    """A step of one shape: its inputs, and its work, captured when it runs first."""

    def __init__(self, runner: Runner, graph: Graph, shape: Shape, pool: Any) -> None:
        hidden = graph.inputs.get("hidden_states")
        width = None if hidden is None else int(hidden.shape[-1])
        self.inputs = StepInputs(shape.size, width, runner.room.slots - 1, runner.launch.device)
        self._runner, self._graph, self._shape = runner, graph, shape
        self._captured: Captured[Outputs] | None = None
        if runner.launch.device.type == "cuda":
            self.inputs.tell([], [], [])  # what warms up must touch no sequence
            self._captured = DeviceGraph(self._work, pool)

    def run(self, draws: Sequence[Draw | None]) -> Outputs:
        """Run the step over what its inputs hold; what it returns is overwritten by the next one.

        Where a row's candidates have limits, all are drawn anew behind the captured step, which has no room to sort.
        """
        if self._captured is None:
            self._captured = Tape(self._runner.launch, self._work)
        else:
            self._captured()
        found = self._captured.outputs
        if not any(draw is not None and draw.is_restricted(found.logits.shape[1]) for draw in draws):
            return found
        return Outputs(self._draw(found.logits, restricted=True), found.logits, found.hidden)

    def _work(self) -> Outputs:
        shape, inputs, runner = self._shape, self.inputs, self._runner
        few, many = inputs.table, inputs.table.new_empty((0, WIDTH))
        step = runner.step(self._graph, few, many, (Reach(shape.size.tokens, shape.spans * SPAN), Reach(0, 0)))
        given = {"token_ids": inputs.ids, "logit_rows": inputs.logit_rows}
        if inputs.hidden is not None:
            given["hidden_states"] = inputs.hidden
        found = run_graph(self._graph, step, given)
        logits, hidden = found["logits"].rows(), found["hidden_states"].rows()
        return Outputs(self._draw(logits, restricted=False), logits, hidden)

    def _draw(self, logits: Tensor, *, restricted: bool) -> Tensor:
        inputs, guess = self.inputs, self.inputs.hidden is not None
        return draw_tokens(self._runner.launch, logits, *inputs.draws, restricted=restricted, guess=guess)


class Frames:
    """All frames of an executor, made when a step first needs them; they share the memory between their kernels."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._frames: dict[Shape, Frame] = {}
        self._pool: Any = torch.cuda.graph_pool_handle() if runner.launch.device.type == "cuda" else None

    def __len__(self) -> int:
        return len(self._frames)

    def prepare(self, slots: int, drafts: int) -> int:
        """Make the frames of decoding, verification and drafts over contexts of up to 1,024 tokens.

        Returns how many there are. Those of longer contexts are made when a step first needs them.
        """
        graphs = {"hidden_states" in graph.inputs: graph for graph in self._runner.graphs}
        for count, tokens, is_draft in _steps(slots, drafts):
            segments = [Segment(slot, slot * tokens, tokens, 0) for slot in range(count)]
            self.find(graphs[is_draft], segments, every=not is_draft)
        return len(self)

    def find(
        self,
        graph: Graph,
        segments: Sequence[Segment],
        *,
        every: bool,
        beyond: int = 0,
    ) -> Frame | None:
        """Return the frame for segments of few tokens and `beyond` steps more; None where they are too many."""
        tokens = max(segment.length for segment in segments)
        size = size_of(len(segments), tokens, every=every)
        rows = sum(segment.length for segment in segments)
        if size is None or rows <= FEW_ROWS < size.rows:  # filled up it would be summed as steps of many rows are
            return None
        keys = max(segment.position + tokens + beyond for segment in segments)
        spans = 1 << (-(-keys // SPAN) - 1).bit_length()
        shape = Shape(graph.name, size, spans)
        if shape not in self._frames:
            self._frames[shape] = Frame(self._runner, graph, shape, self._pool)
        return self._frames[shape]


def _steps(slots: int, drafts: int) -> Iterator[tuple[int, int, bool]]:
    """Yield (sequences, tokens of each, whether a draft head's) of what a server decodes in, the largest first."""
    for count in reversed([count for count in _COUNTS if count < slots] + [slots]):
        if drafts:
            # what a verification leaves to the head, and the token behind it
            yield from ((count, tokens, True) for tokens in range(drafts + 2, 0, -1))
        yield from ((count, tokens, False) for tokens in range(drafts + 1, 0, -1))


def size_of(sequences: int, tokens: int, *, every: bool) -> Size | None:
    """Return the least size that holds so many sequences; None where it has too many rows."""
    count = next((count for count in _COUNTS if count >= sequences), None)
    if count is None or count * tokens > MOST_ROWS:
        return None
    return Size(count, tokens, every)
