"""A sweep, point by point: what is done stays done, what cannot fit is written down and not tried."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from trtnemo.bench.folder import held, read_json, write_whole
from trtnemo.bench.host import Hosted, Place, host
from trtnemo.bench.load.generator import Generator
from trtnemo.bench.load.record import RunRecord
from trtnemo.bench.load.run import run_load
from trtnemo.bench.predict import plan_of
from trtnemo.bench.sweep.search import SEARCH, search
from trtnemo.bench.sweep.sweep_spec import Point, SweepSpec, points
from trtnemo.errors import RecipeError, ServerError, TrtnemoError, UsageError
from trtnemo.recipe import load_recipe

NOT_RUN = "not-run.json"
# (what is done now, points done, points in all)
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SweepSummary:
    """How many points of a sweep were measured now, had been before, do not fit, and failed."""

    measured: int
    resumed: int
    unfit: int
    failed: int


def run_sweep(spec: SweepSpec, output: Path, report: Report, generator: Generator | None = None) -> SweepSummary:
    """Measure every point that `output` lacks; one server for all points of one setting of the recipe.

    A generator that runs already is used, or one is started when it is needed.
    A point that fails is recorded with its reason and tried again by the next run. Raises UsageError, RecipeError, and
    MachineError where nothing can be measured at all.
    """
    with held(output), ExitStack() as stack:
        sweep = _Sweep(spec, output, report, stack, generator)
        for settings, group in itertools.groupby(points(spec), key=lambda point: point.settings):
            sweep.measure(settings, list(group))
        return SweepSummary(**sweep.counts)


class _Sweep:
    """A sweep under way: what has become of how many points, and the generator, once one is needed."""

    def __init__(
        self, spec: SweepSpec, output: Path, report: Report, stack: ExitStack, generator: Generator | None
    ) -> None:
        self.counts = dict.fromkeys(("measured", "resumed", "unfit", "failed"), 0)
        self._spec, self._output, self._report, self._stack = spec, output, report, stack
        self._total = len(points(spec))
        self._generator = generator

    def measure(self, settings: tuple[str, ...], group: list[Point]) -> None:
        """Measure what is missing of the points of one server."""
        wanted = [point for point in group if not _is_done(self._output / point.name)]
        self._count("resumed", len(group) - len(wanted))
        if not wanted:
            return
        if reason := _why_not(self._spec, settings):
            for point in wanted:
                self._note(point, reason, "cannot fit")
            self._count("unfit", len(wanted))
            return
        if self._generator is None:
            self._generator = self._stack.enter_context(Generator())
        self._serve_and_measure(wanted, self._generator)

    def _serve_and_measure(self, wanted: list[Point], generator: Generator) -> None:
        waiting = list(wanted)
        try:
            self._say("starting the server")
            place = Place(
                url=self._spec.url,
                recipe=self._spec.recipe,
                settings=wanted[0].settings,
                model=self._spec.model,
                devices=self._spec.devices,
            )
            with host(place) as hosted:
                while waiting:
                    self._say(waiting[0].title)
                    self._run(waiting[0], generator, hosted)
                    waiting.pop(0)
        except ServerError as error:  # the server's own end: whatever waits for it fails with it
            for point in waiting:
                self._fail(point, error)

    def _run(self, point: Point, generator: Generator, hosted: Hosted) -> None:
        directory = self._output / point.name
        try:
            if self._spec.limits is not None:
                search(self._spec.limits, point, generator, hosted, directory)
            else:
                record = run_load(generator, hosted.target, point.shape, hosted.predict)
                record.model_copy(update={"title": point.title}).save(directory)
        except ServerError as error:
            self._fail(point, error)
            return
        (directory / NOT_RUN).unlink(missing_ok=True)
        self._count("measured", 1)

    def _fail(self, point: Point, error: ServerError) -> None:
        self._note(point, str(error), "failed")
        self._count("failed", 1)

    def _count(self, what: str, points: int) -> None:
        self.counts[what] += points
        self._say("")

    def _say(self, what: str) -> None:
        self._report(what, sum(self.counts.values()), self._total)

    def _note(self, point: Point, reason: str, kind: str) -> None:
        directory = self._output / point.name
        directory.mkdir(parents=True, exist_ok=True)
        data = {"title": point.title, "kind": kind, "reason": reason}
        write_whole(directory / NOT_RUN, json.dumps(data, indent=1))


def found_limits(output: Path) -> list[tuple[str, int]]:
    """Return (title, largest concurrency within the limits) of every search."""
    found = [read_json(file) for file in sorted(output.rglob(SEARCH))]
    return [(str(item["title"]), int(item["concurrency"])) for item in found]


def limits_of(output: Path) -> dict[str, float]:
    """Return the limits that all searches of a directory had, none where they differ or nothing was searched."""
    found = [read_json(file).get("limits") or {} for file in sorted(output.rglob(SEARCH))]
    return dict(found[0]) if found and all(item == found[0] for item in found) else {}


def not_run(output: Path) -> list[tuple[str, str]]:
    """Return (title, reason) of every point that has no result."""
    found = [read_json(file) for file in sorted(output.rglob(NOT_RUN))]
    return [(str(item["title"]), f"{item['kind']}: {item['reason']}") for item in found]


def _why_not(spec: SweepSpec, settings: tuple[str, ...]) -> str | None:
    """Return why the plan says that a setting cannot fit, None where it does or nothing is known."""
    if spec.recipe is None:
        return None
    loaded = load_recipe(spec.recipe, settings)
    try:
        plan = plan_of(loaded)
    except RecipeError as error:  # one that contradicts itself
        return str(error)
    except TrtnemoError:
        return None
    return plan.verdict.sentence if plan.verdict.kind == "no" else None


def _is_done(directory: Path) -> bool:
    """Return whether a point has a result that can be read; a half-written one is measured again."""
    if (directory / SEARCH).exists():
        try:
            return "concurrency" in read_json(directory / SEARCH)
        except UsageError:
            return False
    return RunRecord.load_whole(directory) is not None
