"""A counted loop: what enters it, what it carries from trip to trip, what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trtnemo.errors import EngineError
from trtnemo.trt.interpreter.instruction import Instruction
from trtnemo.trt.interpreter.values import Value, resolve


@dataclass(frozen=True)
class Loop:
    """The layers of one loop, sorted by their part in it."""

    limit: Instruction
    recurrences: tuple[Instruction, ...]
    iterators: tuple[Instruction, ...]
    body: tuple[Instruction, ...]
    results: tuple[Instruction, ...]

    @classmethod
    def gather(cls, instructions: Sequence[Instruction]) -> Loop:
        """Return the loop among instructions: its borders, and every layer that reads what changes per trip."""
        by_kind: dict[str, list[Instruction]] = {}
        for item in instructions:
            by_kind.setdefault(item.kind, []).append(item)
        limits = by_kind["TRIP_LIMIT"]
        if len(limits) != 1 or limits[0].layer.kind.name != "COUNT":
            raise EngineError("the interpreter runs loops with one count only", where=limits[0].name)
        entries = [*by_kind.get("RECURRENCE", ()), *by_kind.get("ITERATOR", ())]
        changing = {output.name for item in entries for output in item.outputs}
        body = []
        for item in instructions:
            if item.kind in ("RECURRENCE", "ITERATOR", "LOOP_OUTPUT") or not changing & set(item.inputs):
                continue
            body.append(item)
            changing |= {output.name for output in item.outputs}
        return cls(
            limits[0],
            tuple(by_kind.get("RECURRENCE", ())),
            tuple(by_kind.get("ITERATOR", ())),
            tuple(body),
            tuple(by_kind["LOOP_OUTPUT"]),
        )

    @property
    def members(self) -> tuple[Instruction, ...]:
        """Every layer that runs as part of the loop."""
        return (self.limit, *self.recurrences, *self.iterators, *self.body, *self.results)

    @property
    def inputs(self) -> tuple[str | None, ...]:
        """Names that must be known before the loop starts."""
        made = {output.name for item in self.members for output in item.outputs}
        return tuple(name for item in self.members for name in item.inputs if name not in made)

    def run(self, values: dict[str, Value]) -> None:
        """Run all trips and leave the loop's outputs in `values`."""
        trips = int(resolve(values[_name(self.limit, 0)]))
        carried = [resolve(values[_name(item, 0)]) for item in self.recurrences]
        gathered: list[list[torch.Tensor]] = [[] for _ in self.results]
        for trip in range(trips):
            for item, value in zip(self.recurrences, carried, strict=True):
                _give(item, value, values)
            for item in self.iterators:
                _give(item, _slice(item, resolve(values[_name(item, 0)]), trip, trips), values)
            for item in self.body:
                item.run(values)
            for item, parts in zip(self.results, gathered, strict=True):
                if item.layer.kind.name == "CONCATENATE":
                    parts.append(resolve(values[_name(item, 0)]))
            carried = [resolve(values[_name(item, 1)]) for item in self.recurrences]
        for item, value in zip(self.recurrences, carried, strict=True):
            _give(item, value, values)
        for item, parts in zip(self.results, gathered, strict=True):
            if item.layer.kind.name == "CONCATENATE":
                _give(item, torch.stack(parts, dim=item.layer.axis), values)
            elif item.layer.kind.name == "LAST_VALUE":
                _give(item, resolve(values[_name(item, 0)]), values)
            else:
                raise EngineError(f"the interpreter has no loop output {item.layer.kind.name}", where=item.name)


def _slice(item: Instruction, x: torch.Tensor, trip: int, trips: int) -> torch.Tensor:
    axis = item.layer.axis
    if item.layer.reverse or x.shape[axis] != trips:
        raise EngineError(f"iterates over {x.shape[axis]} in {trips} trips", where=item.name)
    return x.select(axis, trip)


def _name(item: Instruction, place: int) -> str:
    name = item.inputs[place]
    if name is None:
        raise EngineError(f"input {place} is missing", where=item.name)
    return name


def _give(item: Instruction, value: torch.Tensor, values: dict[str, Value]) -> None:
    item.outputs[0].check(value, item.name)
    values[item.outputs[0].name] = value
