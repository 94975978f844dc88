"""`trtnemo bench report`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Directory of the page.  [default: DIRECTORY/report]")
@click.option("--title", help="Title of the page.  [default: the directory's name]")
def report(directory: Path, output: Path | None, title: str | None) -> None:
    """Write the runs below a directory as one HTML page and PNGs.

    The page holds its pictures and fetches nothing. Needs the extra [plot].
    """
    from trtnemo.bench.load.record import RunRecord, find_runs
    from trtnemo.bench.load.summary import summarize
    from trtnemo.bench.sweep.point import Point
    from trtnemo.bench.sweep.report import write_report
    from trtnemo.bench.sweep.sweep import limits_of, not_run

    points = []
    for found in find_runs(directory):
        record = RunRecord.load(found)
        points.append(Point(record.title or found.relative_to(directory).as_posix(), record, summarize(record)))
    points.sort(key=lambda point: point.run.started)
    place, name = output or directory / "report", title or directory.name
    written = write_report(points, not_run(directory), place, name, limits_of(directory))
    click.echo("\n".join(f"written: {path}" for path in written))
