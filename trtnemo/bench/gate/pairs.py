"""Two servers measured in turn, so that what else the machine does hurts both alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from trtnemo.bench.folder import held, is_empty, write_whole
from trtnemo.bench.host import Place, host
from trtnemo.bench.load.generator import Generator
from trtnemo.bench.load.record import RUN, RunRecord, Server
from trtnemo.bench.load.run import new_nonce, run_load
from trtnemo.bench.load.shape import LoadShape
from trtnemo.bench.load.summary import Summary, summarize
from trtnemo.errors import UsageError

Report = Callable[[int, int], None]
SIDES = BEFORE, AFTER = "before", "after"
PAIRS = "pairs.json"


def measure_pairs(
    before: Place,
    after: Place,
    shape: LoadShape,
    pairs: int,
    output: Path,
    report: Report,
    generator: Generator | None = None,
) -> None:
    """Run the pairs that `output` lacks and write every run below it.

    Both servers run all the while, and one is asked at a time; which of a pair goes first changes from pair to pair.
    Every run has marks of its own before its prompts, or caches would answer; the texts of a pair are the same. One
    pair more is run before them and thrown away. A generator that runs already is used. Raises TrtnemoError, UsageError
    among them where `output` holds pairs of anything else.
    """
    with held(output), ExitStack() as stack:
        _claim(output, before, after, shape)
        # first, for a missing one is reported here
        generator = generator or stack.enter_context(Generator())
        hosted = {BEFORE: stack.enter_context(host(before)), AFTER: stack.enter_context(host(after))}
        kept = {name: _read(output / name) for name in SIDES}
        for name in SIDES:
            _require_same(kept[name].values(), hosted[name].target.server(), output / name)
        missing = [number for number in range(pairs) if not all(_name(number) in kept[name] for name in SIDES)]
        done = 2 * (pairs - len(missing))
        report(done, 2 * pairs)
        nonce = new_nonce()
        for number, name in _turns(missing):
            changed = shape.model_copy(update={"seed": shape.seed + 1 + number})
            record = run_load(generator, hosted[name].target, changed, nonce=f"{nonce}-{name}")
            if number >= 0:
                record.save(output / name / _name(number))
                done += 1
                report(done, 2 * pairs)


def read_pairs(output: Path) -> list[list[Summary]]:
    """Return the numbers of both sides of every whole pair below a directory; raises UsageError."""
    sides = [_read(output / name) for name in SIDES]
    for name, runs in zip(SIDES, sides, strict=True):
        require_one_server(runs.values(), output / name)
    whole = sorted(set.intersection(*map(set, sides)))
    return [[summarize(runs[number]) for number in whole] for runs in sides]


def _claim(output: Path, before: Place, after: Place, shape: LoadShape) -> None:
    """Write down of what a directory holds pairs, or hold it against what stands there."""
    facts = {"sides": [before.facts(), after.facts()], "load": shape.model_dump(mode="json")}
    note, text = output / PAIRS, json.dumps(facts, indent=1)
    if is_empty(output):
        write_whole(note, text)
    if not note.is_file() or note.read_text(encoding="utf-8", errors="replace") != text:
        raise UsageError(
            "holds something else than pairs of these two servers under this load",
            where=str(output),
            remedy="Choose another directory",
        )


def _require_same(kept: Iterable[RunRecord], server: Server, side: Path) -> None:
    """Raise UsageError where the runs that a side has are not of this server: another version, code, recipe, engine."""
    if any(_identity(run.server) != _identity(server) for run in kept):
        raise UsageError(
            "holds runs of another server (code, version, recipe, engine or model)",
            where=str(side),
            remedy="Choose another directory",
        )


def _read(side: Path) -> dict[str, RunRecord]:
    """Return the runs that a side has, by their directories' names; a half-written one is none."""
    found = {file.parent.name: RunRecord.load_whole(file.parent) for file in side.glob(f"*/{RUN}")}
    return {name: record for name, record in found.items() if record is not None}


def _name(number: int) -> str:
    return f"{number:03}"


def _turns(numbers: Sequence[int]) -> Iterator[tuple[int, str]]:
    for number in (-1, *numbers):
        yield from ((number, name) for name in (SIDES if number % 2 else reversed(SIDES)))


def require_one_server(runs: Iterable[RunRecord], where: Path) -> None:
    """Raise UsageError unless all runs are of one server in one state."""
    if len({_identity(run.server) for run in runs}) > 1:
        raise UsageError(
            "the runs are of different servers (code, version, recipe, engine or model), so they cannot "
            "be one side of a comparison",
            where=str(where),
        )


def _identity(server: Server) -> tuple[str | None, ...]:
    return (
        server.software,
        server.version,
        server.code_digest,
        server.recipe_digest,
        server.engine_digest,
        server.model,
    )
