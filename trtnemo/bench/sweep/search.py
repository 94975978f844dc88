"""The largest concurrency whose times keep their limits: doubled until they do not, then halved in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from trtnemo.bench.folder import write_whole
from trtnemo.bench.host import Hosted
from trtnemo.bench.load.generator import Generator
from trtnemo.bench.load.record import RunRecord
from trtnemo.bench.load.run import run_load
from trtnemo.bench.load.summary import Summary, summarize
from trtnemo.bench.sweep.sweep_spec import Limits, Point
from trtnemo.errors import UnansweredError

SEARCH = "search.json"


def search(limits: Limits, point: Point, generator: Generator, hosted: Hosted, directory: Path) -> int:
    """Return the largest concurrency within the limits, 0 where 1 is too many; every load tried is kept."""

    def holds(concurrency: int) -> bool:
        try:
            return keeps(limits, summarize(_try(concurrency, point, generator, hosted, directory)))
        except UnansweredError:
            hosted.target.server()  # raises where that is the server's end, and no limit
            return False

    found = largest(holds, limits.most)
    data = {"title": point.title, "concurrency": found, "limits": limits.named}
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(directory / SEARCH, json.dumps(data, indent=1))
    return found


def keeps(limits: Limits, summary: Summary) -> bool:
    """Return whether a run kept every limit; a request that was not answered keeps none."""
    within = all(summary.metrics.get(name, float("inf")) <= limit for name, limit in limits.named.items())
    return within and not summary.lost


def largest(holds: Callable[[int], bool], most: int) -> int:
    """Return the largest number up to `most` for which `holds`, taken to hold for all smaller ones; 0 for none."""
    good, bad = 0, most + 1
    while bad - good > 1:
        # by doubling while nothing has failed, and by halves between
        tried = min(most, max(1, 2 * good)) if bad > most else (good + bad) // 2
        if holds(tried):
            good = tried
        else:
            bad = tried
    return good


def _try(concurrency: int, point: Point, generator: Generator, hosted: Hosted, directory: Path) -> RunRecord:
    """Return a load's record, measured unless an earlier search left it."""
    place = directory / f"concurrency-{concurrency:04}"
    if (kept := RunRecord.load_whole(place)) is not None:
        return kept
    # fewer requests than streams would measure fewer streams
    changes = {"concurrency": concurrency, "requests": max(point.shape.measured, 3 * concurrency)}
    shape = point.shape.model_copy(update=changes)
    record = run_load(generator, hosted.target, shape, hosted.predict)
    record = record.model_copy(update={"title": f"{point.title}, concurrency={concurrency}"})
    record.save(place)
    return record
