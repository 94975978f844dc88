"""Two servers measured in turn, so that what else the machine does hurts both alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from trtnemo.bench.generator import Generator
from trtnemo.bench.host import Hosted, Place, host
from trtnemo.bench.record import RUN, RunRecord, find_runs
from trtnemo.bench.run import new_nonce, run_load
from trtnemo.bench.shape import LoadShape
from trtnemo.bench.summary import Summary, summarize
from trtnemo.errors import ServerError, UsageError

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
    Every pair has prompts of its own, or caches would answer. One pair more is run before them and thrown away. A run
    that fails is tried once more. A generator that runs already is used. Raises TrtnemoError, UsageError among them
    where `output` holds anything else than pairs of these two.
    """
    _claim(output, before, after, shape)
    missing = [number for number in range(pairs) if not all(_run_of(output, name, number).exists() for name in SIDES)]
    if not missing:
        return
    with ExitStack() as stack:
        # first, for it is told here where it is missing
        generator = generator or stack.enter_context(Generator())
        hosted = {BEFORE: stack.enter_context(host(before)), AFTER: stack.enter_context(host(after))}
        done = 2 * (pairs - len(missing))
        report(done, 2 * pairs)
        nonce = new_nonce()  # one for all: both of a pair get the same prompts
        for number, name in _turns(missing):
            record = _run(generator, hosted[name], shape, number, nonce)
            if number >= 0:
                record.save(_run_of(output, name, number).parent)
                done += 1
                report(done, 2 * pairs)


def read_summaries(*directories: Path) -> list[list[Summary]]:
    """Return the numbers of all runs below each directory, in name order.

    Raises UsageError when there is none, and when they are not all of one load, seeds aside, and of one model.
    """
    return _read([find_runs(directory) for directory in directories], directories)


def read_pairs(output: Path) -> list[list[Summary]]:
    """Return the numbers of both sides of every whole pair below a directory; raises UsageError as `read_summaries`."""
    sides = [output / name for name in SIDES]
    whole = set.intersection(*({run.name for run in find_runs(side)} for side in sides))
    return _read([[side / name for name in sorted(whole)] for side in sides], sides)


def _claim(output: Path, before: Place, after: Place, shape: LoadShape) -> None:
    """Write down of what a directory holds pairs, or hold it against what stands there."""
    # as text and back: what json makes of tuples is what it is compared with
    facts = json.loads(json.dumps([before.facts(), after.facts(), shape.model_dump(mode="json")]))
    note = output / PAIRS
    try:
        output.mkdir(parents=True, exist_ok=True)
        if note.exists():
            is_ours = json.loads(note.read_text(encoding="utf-8")) == facts
        else:
            is_ours = not any(output.iterdir())
            if is_ours:
                note.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot keep runs: {detail}", where=str(output)) from None
    if not is_ours:
        raise UsageError(
            "holds something else than pairs of these two servers under this load",
            where=str(output),
            remedy="Choose another directory",
        )


def _run_of(output: Path, name: str, number: int) -> Path:
    return output / name / f"{number:03}" / RUN


def _turns(numbers: Sequence[int]) -> Iterator[tuple[int, str]]:
    for number in (-1, *numbers):
        yield from ((number, name) for name in (SIDES if number % 2 else reversed(SIDES)))


def _run(generator: Generator, hosted: Hosted, shape: LoadShape, number: int, nonce: str) -> RunRecord:
    changed = shape.model_copy(update={"seed": shape.seed + 1 + number})
    try:
        return run_load(generator, hosted.target, changed, nonce=nonce)
    except ServerError:  # a clock that jumped, say: one of eighty runs is no reason to lose the others
        return run_load(generator, hosted.target, changed, nonce=new_nonce())


def _read(sets: Sequence[Sequence[Path]], directories: Sequence[Path]) -> list[list[Summary]]:
    records = [[RunRecord.load(run) for run in runs] for runs in sets]
    where = " and ".join(map(str, directories))
    kinds = {(run.shape.model_copy(update={"seed": 0}), run.server.model) for runs in records for run in runs}
    if len(kinds) > 1:
        loads = sorted({f"{shape.title()} of {model}" for shape, model in kinds})
        raise UsageError(
            f"the runs are of different loads, which nothing compares: {'; '.join(loads[:3])}", where=where
        )
    for runs, directory in zip(records, directories, strict=True):
        if len({_identity(run) for run in runs}) > 1:
            raise UsageError(
                "the runs are of different servers (version, recipe or engine), which are no one side of a comparison",
                where=str(directory),
            )
    return [[summarize(run) for run in runs] for runs in records]


def _identity(run: RunRecord) -> tuple[str | None, ...]:
    server = run.server
    return server.software, server.version, server.recipe_digest, server.engine_digest
