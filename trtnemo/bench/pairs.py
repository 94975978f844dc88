"""Two servers measured in turn, so that what else the machine does hurts both alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from trtnemo.bench.generator import Generator
from trtnemo.bench.host import Hosted, Place, host
from trtnemo.bench.record import RunRecord, find_runs
from trtnemo.bench.run import new_nonce, run_load
from trtnemo.bench.shape import LoadShape
from trtnemo.bench.summary import Summary, summarize
from trtnemo.errors import ServerError, UsageError

Report = Callable[[int, int], None]
BEFORE, AFTER = "before", "after"


def measure_pairs(
    before: Place,
    after: Place,
    shape: LoadShape,
    pairs: int,
    output: Path,
    report: Report,
    generator: Generator | None = None,
) -> None:
    """Run so many pairs and write every run below `output`; both servers run all the while, and one is asked at a time.

    Which of a pair goes first changes from pair to pair. Every pair has prompts of its own, or caches would answer.
    One pair more is run before them and thrown away. A run that fails is tried once more. A generator that runs already
    is used. Raises TrtnemoError.
    """
    with ExitStack() as stack:
        # first, for it is told here where it is missing
        generator = generator or stack.enter_context(Generator())
        hosted = {BEFORE: stack.enter_context(host(before)), AFTER: stack.enter_context(host(after))}
        report(0, 2 * pairs)
        nonce = new_nonce()  # one for all: both of a pair get the same prompts
        for done, (number, name) in enumerate(_turns(pairs), -1):
            record = _run(generator, hosted[name], shape, number, nonce)
            if number >= 0:
                record.save(output / name / f"{number:03}")
                report(done, 2 * pairs)


def _turns(pairs: int) -> Iterator[tuple[int, str]]:
    for number in range(-1, pairs):
        order = (BEFORE, AFTER) if number % 2 else (AFTER, BEFORE)
        yield from ((number, name) for name in order)


def _run(generator: Generator, hosted: Hosted, shape: LoadShape, number: int, nonce: str) -> RunRecord:
    changed = shape.model_copy(update={"seed": shape.seed + 1 + number})
    try:
        return run_load(generator, hosted.target, changed, nonce=nonce)
    except ServerError:  # a clock that jumped, say: one of eighty runs is no reason to lose the others
        return run_load(generator, hosted.target, changed, nonce=new_nonce())


def read_summaries(*directories: Path) -> list[list[Summary]]:
    """Return the numbers of all runs below each directory, in name order.

    Raises UsageError when there is none, and when they are not all of one load, seeds aside, and of one model.
    """
    sets = [[RunRecord.load(found) for found in find_runs(directory)] for directory in directories]
    kinds = {(run.shape.model_copy(update={"seed": 0}), run.server.model) for runs in sets for run in runs}
    if len(kinds) > 1:
        loads = sorted({f"{shape.title()} of {model}" for shape, model in kinds})
        raise UsageError(
            f"the runs are of different loads, which nothing compares: {'; '.join(loads[:3])}",
            where=" and ".join(map(str, directories)),
        )
    return [[summarize(run) for run in runs] for runs in sets]
