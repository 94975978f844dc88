"""Two sets of stored runs: read, and compared with each other before anybody compares their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trtnemo.bench.gate.pairs import require_one_server
from trtnemo.bench.load.record import RunRecord, find_runs
from trtnemo.bench.load.summary import Summary, summarize
from trtnemo.errors import UsageError


@dataclass(frozen=True)
class StoredRuns:
    """The numbers of both sets, and in what beside the server they differ: machine, devices, generator."""

    before: list[Summary]
    after: list[Summary]
    unlike: list[str]


def read_stored(before: Path, after: Path) -> StoredRuns:
    """Return all runs below each directory, in name order.

    Raises UsageError when there is none, when one side is of several servers or machines, and when the two are not of
    one load, seeds aside, and of one model.
    """
    sides = [[RunRecord.load(found) for found in find_runs(directory)] for directory in (before, after)]
    for runs, directory in zip(sides, (before, after), strict=True):
        require_one_server(runs, directory)
        if mixed := _differences(runs, runs):
            raise UsageError(f"the runs cannot be one side of a comparison: {mixed[0]}", where=str(directory))
    kinds = {(run.shape.model_copy(update={"seed": 0}), run.server.model) for runs in sides for run in runs}
    if len(kinds) > 1:
        loads = sorted({f"{shape.title()} of {model}" for shape, model in kinds})
        raise UsageError(
            f"the runs have different loads and cannot be compared: {'; '.join(loads[:3])}",
            where=f"{before} and {after}",
        )
    first, second = ([summarize(run) for run in runs] for runs in sides)
    return StoredRuns(first, second, _differences(*sides))


def _differences(before: Sequence[RunRecord], after: Sequence[RunRecord]) -> list[str]:
    """Return what differs between any of one set and any of the other, `name: one, other`."""
    rows = [_surroundings(run) for run in (*before, *after)]
    names = sorted({name for row in rows for name in row})
    values = {name: sorted({row.get(name, "unknown") for row in rows}) for name in names}
    return [f"{name}: {', '.join(found)}" for name, found in values.items() if len(found) > 1]


def _surroundings(run: RunRecord) -> dict[str, str]:
    # memory is measured to a tenth, and no reason for a difference
    machine = {name: value for name, value in run.machine.items() if name != "memory_gib"}
    return {**machine, "devices": str(run.devices), "generator": run.generator}
