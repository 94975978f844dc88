"""`trtnemo bench sweep`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from trtnemo.cli.options import json_option, print_json
from trtnemo.cli.views.progress import point_progress


@click.command()
@click.argument("spec", metavar="SPEC.yaml", type=click.Path(path_type=Path))
@click.argument("output", metavar="DIRECTORY", type=click.Path(path_type=Path))
@click.option("--url", help="Measure this server instead of the spec's recipe, whose settings then have no meaning.")
@click.option("--model", help="Model to ask for, instead of the spec's.")
@click.option("--list", "only_list", is_flag=True, help="List the points and measure nothing.")
@json_option
@click.pass_context
def sweep(
    context: click.Context,
    spec: Path,
    output: Path,
    url: str | None,
    model: str | None,
    only_list: bool,
    as_json: bool,
) -> None:
    """Measure every point of a spec, or search the largest load within limits.

    The server is started anew for each setting of the recipe. Points that the plan says cannot fit are recorded as
    such. A sweep that was stopped resumes. Exits 1 when a point failed; the next run tries it again.
    """
    from trtnemo.bench.sweep.sweep import found_limits, run_sweep
    from trtnemo.bench.sweep.sweep_spec import load_spec, points, require_recipes

    found = load_spec(spec)
    if url is not None:
        found = found.model_copy(update={"recipe": None, "url": url, "settings": {}})
    if model is not None:
        found = found.model_copy(update={"model": model})
    require_recipes(found)
    if only_list:
        listed = [
            {"name": point.name, "title": point.title, "settings": list(point.settings)} for point in points(found)
        ]
        if as_json:
            print_json(listed)
        else:
            click.echo("\n".join(f"{point['name']}  {point['title']}" for point in listed))
        return
    with point_progress() as report:
        summary = run_sweep(found, output, report)
    if as_json:
        searches = [{"title": title, "concurrency": count} for title, count in found_limits(output)]
        print_json({**dataclasses.asdict(summary), "searches": searches})
    else:
        click.echo(
            f"{summary.measured} points measured, {summary.resumed} were already; {summary.unfit} cannot fit, "
            f"{summary.failed} failed. `trtnemo bench report {output}` shows them"
        )
        for title, concurrency in found_limits(output):
            click.echo(f"  {title}: {concurrency} streams keep the limits")
    if summary.failed:
        context.exit(1)
