"""`trtnemo batch`."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path

import click

from trtnemo.cli.options import json_option, print_json, set_option
from trtnemo.cli.progress import count_progress
from trtnemo.errors import UsageError


@click.command()
@click.argument("source", metavar="IN.jsonl", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT.jsonl", type=click.Path(path_type=Path))
@click.option("--url", help="Base URL of an OpenAI-compatible server; its key is read from OPENAI_API_KEY.")
@click.option("--engine", type=click.Path(path_type=Path), help="Engine to serve meanwhile.")
@click.option("--recipe", help="Recipe to serve meanwhile; its engine is built first when it is not there.")
@set_option
@click.option("--model", help="Model to send in place of what the requests name.")
@click.option("--concurrency", type=click.IntRange(1), default=64, show_default=True, help="Requests at once.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=120.0,
    show_default=True,
    help="Seconds that the server may be away before the run ends; one that accepts and is silent is waited for.",
)
@click.option("--retry-failed", is_flag=True, help="Send again what an earlier run got no 2xx answer for.")
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
    retry_failed: bool,
    as_json: bool,
) -> None:
    """Answer a file of requests in OpenAI's batch format, resumable.

    Results are appended as they come, each in one piece: a run that was killed goes on where it stood when the command
    is given again. Exits 1 when a request got no 2xx answer.
    """
    from trtnemo.batch import BatchOptions, count_lines, run_batch
    from trtnemo.launch.endpoint import base_url, serving

    if sum(way is not None for way in (url, engine, recipe)) != 1:
        raise UsageError("give one of --url, --engine and --recipe")
    if settings and recipe is None:
        raise UsageError("--set changes a recipe; none is given")
    requests = count_lines(source)  # what is wrong with the file is told before a server starts
    options = BatchOptions(concurrency, model, patience, retry_failed)
    with ExitStack() as stack:
        if url is None:
            chosen = ["--engine", str(engine)] if engine is not None else ["--recipe", str(recipe)]
            base = stack.enter_context(serving([*chosen, *(word for item in settings for word in ("--set", item))]))
        else:
            base = base_url(url)
        report = stack.enter_context(count_progress("requests"))
        found = run_batch(base, source, requests, output, options, report)
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        fresh = found.requests - found.resumed
        click.echo(
            f"{found.requests} requests in {output}: {fresh} answered in {found.seconds:.1f} s, "
            f"{found.resumed} by an earlier run; {found.failed} failed"
        )
    if found.failed:
        context.exit(1)
