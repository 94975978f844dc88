"""`trtnemo batch`."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path

import click

from trtnemo.cli.options import json_option, place_options, print_json
from trtnemo.cli.views.progress import count_progress


@click.command()
@click.argument("source", metavar="IN.jsonl", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT.jsonl", type=click.Path(path_type=Path))
@place_options
@click.option("--concurrency", type=click.IntRange(1), default=64, show_default=True, help="Requests at once.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=120.0,
    show_default=True,
    help="Seconds that the server may be unreachable, or answer every request with 429, before the run ends.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds without a byte of an answer before a request fails.",
)
@click.option("--retry-failed", is_flag=True, help="Retry requests that failed in an earlier run.")
@json_option
@click.pass_context
def batch(
    context: click.Context,
    source: Path,
    output: Path,
    url: str | None,
    engine: Path | None,
    recipe: str | None,
    settings: tuple[str, ...],
    model: str | None,
    concurrency: int,
    patience: float,
    timeout: float,
    retry_failed: bool,
    as_json: bool,
) -> None:
    """Answer a file of requests in OpenAI's batch format, resumable.

    Results are appended as they come, each in one piece: a run that was killed resumes when the command
    is given again. Exits 1 when a request got no 2xx answer.
    """
    from trtnemo.batch import BatchOptions, count_lines, run_batch
    from trtnemo.bench.host import Place
    from trtnemo.endpoint import base_url, serving
    from trtnemo.recipe import load_recipe

    place = Place(url, recipe, engine, settings, model)
    if recipe is not None:
        load_recipe(recipe, settings)
    requests = count_lines(source)  # what is wrong with the file is reported before a server starts
    options = BatchOptions(concurrency, model, patience, timeout, retry_failed)
    with ExitStack() as stack:
        base = base_url(url) if url is not None else stack.enter_context(serving(place.words()))
        report = stack.enter_context(count_progress("requests"))
        found = run_batch(base, source, requests, output, options, report)
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        click.echo(
            f"{found.requests} requests in {output}: {found.answered} answered in {found.seconds:.1f} s, "
            f"{found.resumed} by an earlier run; {found.failed} failed"
        )
    if found.failed:
        context.exit(1)
