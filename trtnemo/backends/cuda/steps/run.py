"""Graphs over the states of all slots: what a step's ops are given, and steps of any shape, launched one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from trtnemo.backends.cuda.attention import Reach
from trtnemo.backends.cuda.forms import FORMS, Room, State, Step
from trtnemo.backends.cuda.steps.program import Watch, run_graph, uses_of
from trtnemo.backends.cuda.values import Value
from trtnemo.backends.cuda.weights import Weights
from trtnemo.backends.step import Segment
from trtnemo.graph import Graph
from trtnemo.kernels.launch import Launcher
from trtnemo.kernels.segments import WIDTH

FEW_TOKENS = 8  # of a segment that the kernels for decoding and verification take


class Runner:
    """What graphs run on: a device, weights, and the states of all slots.

    room.slots counts one more slot than sequences may take: what fills a captured step up writes into it.
    """

    def __init__(self, graphs: Sequence[Graph], weights: Weights, launch: Launcher, room: Room) -> None:
        self.graphs, self.weights, self.launch, self.room = graphs, weights, launch, room
        self.states: dict[str, State] = {}
        for graph in graphs:
            self.states |= _states(graph, room)
        self._uses = {graph.name: uses_of(graph) for graph in graphs}
        self.watch: Watch | None = None

    def run(
        self,
        graph: Graph,
        segments: Sequence[Segment],
        replays: Sequence[int],
        ids: Tensor,
        inputs: Mapping[str, Tensor],
        logit_rows: Tensor,
        *,
        watched: bool = True,
    ) -> dict[str, Value]:
        """Return a graph's outputs over a step's segments, not computed yet; states move at once."""
        given = {"token_ids": ids, "logit_rows": logit_rows.to(self.launch.device), **inputs}
        watch = self.watch if watched else None
        return run_graph(graph, self._ragged(graph, segments, replays), given, watch)

    def replay(self, segments: Sequence[Segment], replays: Sequence[int]) -> None:
        """Take the last tokens before empty segments into the recurrent states of the target."""
        graph = self.graphs[0]
        step = self._ragged(graph, segments, replays)
        for node in graph.nodes:
            form = FORMS.find(node)
            if form.fold is not None:
                form.fold(node.op, node, step)

    def step(
        self, graph: Graph, few: Tensor, many: Tensor, reaches: tuple[Reach, Reach], long: tuple[Segment, ...] = ()
    ) -> Step:
        """Return what ops read besides their inputs."""
        self.launch.has_prompt = bool(long)
        uses = self._uses[graph.name]
        return Step(self.launch, self.weights, self.room, self.states, few, many, reaches, uses, graph.name, long)

    def _ragged(self, graph: Graph, segments: Sequence[Segment], replays: Sequence[int]) -> Step:
        """Return a step with segments of few and of many tokens apart, told to the device at once."""
        parts: tuple[list[list[int]], list[list[int]]] = ([], [])
        reaches = [Reach(0, 0), Reach(0, 0)]
        for segment, replay in zip(segments, replays, strict=True):
            kind = int(segment.length > FEW_TOKENS)
            parts[kind].append(about(segment, replay))
            before = reaches[kind]
            keys = segment.position + segment.length
            reaches[kind] = Reach(max(before.tokens, segment.length), max(before.keys, keys))
        table = torch.tensor([*parts[0], *parts[1]], dtype=torch.int32).reshape(-1, WIDTH).to(self.launch.device)
        few, many = table[: len(parts[0])], table[len(parts[0]) :]
        long = tuple(segment for segment in segments if segment.length > FEW_TOKENS)
        return self.step(graph, few, many, (reaches[0], reaches[1]), long)


def about(segment: Segment, replay: int, rows: int | None = None) -> list[int]:
    """Return what kernels read of a segment (`kernels/segments.py`)."""
    told = [segment.slot, segment.start, segment.length, segment.position, replay, int(segment.speculative)]
    return [*told, segment.length if rows is None else rows, 0]


def is_of_few(segments: Iterable[Segment]) -> bool:
    """Return whether the kernels for decoding and verification take all segments."""
    return all(segment.length <= FEW_TOKENS for segment in segments)


def _states(graph: Graph, room: Room) -> dict[str, State]:
    made = {}
    for number, node in enumerate(graph.nodes):
        form = FORMS.find(node)
        if form.state is not None:
            made[node.name] = form.state(node.op, room, number)
    return made
