"""A folder that shows measured points to people: one page that needs nothing else, and its charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from trtnemo.bench.load.record import RunRecord
from trtnemo.bench.sweep import charts
from trtnemo.bench.sweep.findings import findings
from trtnemo.bench.sweep.pictures import draw_pictures, times_of
from trtnemo.bench.sweep.point import Point
from trtnemo.errors import UsageError, one_line

TEMPLATE = Path(__file__).parents[2] / "assets" / "report.html.jinja"
DIGITS = 12  # of a digest; enough to tell two engines apart


def write_report(
    points: Sequence[Point],
    missing: Sequence[tuple[str, str]],
    output: Path,
    title: str,
    limits: Mapping[str, float] | None = None,
) -> list[Path]:
    """Write report.html, and its charts once more as PNGs, into a folder and return their paths, the page first.

    missing: name and reason of what was not run; limits: seconds by metric, within which the best point is sought.
    Raises UsageError when there is no point or the folder cannot be written, MachineError without matplotlib.
    """
    if not points:
        raise UsageError("there is no measured point to report", where=str(output), remedy="Run one first")
    drawn = _draw_charts(points)
    files = {"report.html": _page(points, missing, title, limits or {}).encode()}
    files |= {f"{name}.png": data for name, data in drawn.items()}
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (output / name).write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(output)) from None
    return [output / name for name in files]


def _is_numbered(points: Sequence[Point]) -> bool:
    """Return whether charts call points by their number in the table, for their names are too long."""
    return any(len(point.name) > charts.LONGEST_LABEL for point in points)


def _draw_charts(points: Sequence[Point]) -> dict[str, bytes]:
    if _is_numbered(points):
        points = [replace(point, name=str(number)) for number, point in enumerate(points, 1)]
    user, device = "tokens_per_second_per_user", "output_tokens_per_second_per_device"
    places = [
        (point.name, found[user], found[device])
        for point in points
        if user in (found := point.summary.metrics) and device in found
    ]
    times = [(point.name, times_of(point, "ttft"), times_of(point, "itl")) for point in points]
    timed = [row for row in times if row[1] or row[2]]
    drafted = [
        (point.name, point.summary.acceptance, point.summary.tokens_per_verification, point.summary.metrics.get(user))
        for point in points
        if point.summary.acceptance is not None
    ]
    bounded = [
        (point.name, point.summary.metrics["output_tokens_per_second"], point.run.prediction.tokens_per_second)
        for point in points
        if point.run.prediction is not None
    ]
    wanted: list[tuple[str, Sequence[object], Callable[[], bytes]]] = [
        ("pareto", places, lambda: charts.pareto_chart(places)),
        ("percentiles", timed, lambda: charts.percentile_chart(timed)),
        ("acceptance", drafted, lambda: charts.acceptance_chart(drafted)),
        ("roofline", bounded, lambda: charts.roofline_chart(bounded)),
    ]
    return {name: draw() for name, shown, draw in wanted if shown}


def _page(points: Sequence[Point], missing: Sequence[tuple[str, str]], title: str, limits: Mapping[str, float]) -> str:
    from jinja2 import Environment, StrictUndefined

    def clean(value: object) -> object:
        return one_line(value) if type(value) is str else value  # what is Markup already stays as it is

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=clean
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    same, different = _split_facts([_facts(point.run) for point in points])
    started = sorted({_minute(point.run.started) for point in points})
    return template.render(
        title=title, points=points, missing=missing, charts=draw_pictures(points), same=same,
        findings=findings(points, limits),
        different=different, first=started[0], last=started[-1], numbered=_is_numbered(points),
    )  # fmt: skip


def _minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _split_facts(facts: Sequence[dict[str, str]]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the facts that all points share, and of the others each point's, in order."""
    rows = {key: [each.get(key, "") for each in facts] for each in facts for key in each}
    same = {key: values[0] for key, values in rows.items() if len(set(values)) == 1 and values[0]}
    return same, {key: values for key, values in rows.items() if len(set(values)) > 1}


def _facts(run: RunRecord) -> dict[str, str]:
    server = run.server
    return {
        "Server": " ".join(filter(None, (server.software, server.version))) or "does not say",
        "Model": server.model,
        "Address": server.url,
        "Devices": str(run.devices),
        "Recipe": server.recipe or "",
        "Recipe digest": _short(server.recipe_digest),
        "Changed settings": ", ".join(server.settings),
        "Engine digest": _short(server.engine_digest),
        **{
            f"Measured from: {key.replace('_gib', ' (GiB)').replace('_', ' ')}": value
            for key, value in run.machine.items()
        },
        "Load generator": run.generator,
        "Prompts digest": _short(run.prompts_digest),
    }


def _short(digest: str | None) -> str:
    return (digest or "").rpartition(":")[2][:DIGITS]
