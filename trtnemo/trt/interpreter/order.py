"""The order in which layers run: a network lists them as they were added, which need not be it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from trtnemo.errors import EngineError
from trtnemo.trt.interpreter.instruction import Instruction
from trtnemo.trt.interpreter.kinds import BOUNDARIES
from trtnemo.trt.interpreter.loop import Loop


def arrange(instructions: Sequence[Instruction]) -> list[Instruction | Loop]:
    """Return instructions so that each follows what it reads, a loop as one; raises EngineError on a cycle."""
    ordered = _sort(instructions)
    loops = {item.layer.loop.name for item in ordered if item.kind in BOUNDARIES}
    if not loops:
        return list(ordered)
    if len(loops) > 1:
        raise EngineError("the interpreter runs one loop per network")
    loop = Loop.gather(ordered)
    inside = {id(item) for item in loop.members}
    later = {output.name for item in loop.results for output in item.outputs}
    read_later = set(loop.inputs)
    before: list[Instruction | Loop] = []
    after: list[Instruction | Loop] = []
    for item in ordered:
        if id(item) in inside:
            continue
        overwrites = item.kind == "KV_CACHE_UPDATE" and item.inputs[0] in read_later
        if overwrites or later & set(item.inputs):
            later |= {output.name for output in item.outputs}
            read_later |= set(item.inputs)
            after.append(item)
        else:
            before.append(item)
    return [*before, loop, *after]


def _sort(instructions: Sequence[Instruction]) -> list[Instruction]:
    maker = {output.name: place for place, item in enumerate(instructions) for output in item.outputs}
    readers: dict[int, list[int]] = {}
    waits = [0] * len(instructions)
    for place, item in enumerate(instructions):
        for before in _before(item, place, instructions, maker):
            readers.setdefault(before, []).append(place)
            waits[place] += 1
    ready = [place for place, count in enumerate(waits) if count == 0]
    order = []
    while ready:
        place = heapq.heappop(ready)
        order.append(instructions[place])
        for reader in readers.get(place, ()):
            waits[reader] -= 1
            if waits[reader] == 0:
                heapq.heappush(ready, reader)
    if len(order) < len(instructions):
        stuck = next(item for place, item in enumerate(instructions) if waits[place])
        raise EngineError("waits for a layer that waits for it", where=stuck.name)
    return order


def _before(item: Instruction, place: int, instructions: Sequence[Instruction], maker: dict[str, int]) -> set[int]:
    # what a recurrence takes from the trip before is not a wait
    names = item.inputs[:1] if item.kind == "RECURRENCE" else item.inputs
    wanted = {maker[name] for name in names if name in maker}
    if item.kind == "KV_CACHE_UPDATE":  # written in place, so after all that read what was there
        cache = item.inputs[0]
        wanted |= {index for index, other in enumerate(instructions) if index != place and cache in other.inputs}
    return wanted
