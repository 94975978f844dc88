"""`trtnemo bench run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trtnemo.cli.bench.options import load_options, print_summary, read_shape, require_empty
from trtnemo.cli.options import json_option, place_options, print_json


@click.command()
@place_options
@load_options
@click.option(
    "--devices",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Devices of the server at --url or --engine, for rates per device; a recipe names its own.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Directory for run.json and requests.jsonl.")
@json_option
def run(
    url: str | None,
    recipe: str | None,
    engine: Path | None,
    settings: tuple[str, ...],
    model: str | None,
    devices: int,
    output: Path | None,
    as_json: bool,
    **load: Any,
) -> None:
    """Measure one load against an endpoint, or against a recipe started for it.

    Prompts are real text, drawn with a seed; answers have the lengths that are asked for. Needs the extra [bench].
    Exits 7 when no request is answered, when the server restarts during the run, and when the clock jumps.
    """
    from trtnemo.bench.host import Place, host
    from trtnemo.bench.load.generator import Generator
    from trtnemo.bench.load.prompts import read_set
    from trtnemo.bench.load.run import run_load
    from trtnemo.bench.load.summary import summarize

    shape, place = read_shape(load), Place(url, recipe, engine, settings, model, devices=devices)
    read_set(shape.prompts)  # reported before a server starts
    if output is not None:
        require_empty(output, "--output")
    with Generator() as generator, host(place) as hosted:
        record = run_load(generator, hosted.target, shape, hosted.predict)
    if output is not None:
        record.save(output)
    found = summarize(record)
    if as_json:
        print_json({"summary": found.as_json(), "run": record.model_dump(mode="json", exclude={"requests"})})
        return
    print_summary(f"{record.server.model}, {shape.title()}", found)
    if record.prediction is not None:
        bound = record.prediction.tokens_per_second
        share = found.metrics["output_tokens_per_second"] / bound
        click.echo(f"  {share:.1%} of the {bound:,.0f} tokens/s that the plan allows ({record.prediction.bound})")
    if output is not None:
        click.echo(f"written: {output}")
