"""`trtnemo eval`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trtnemo.cli.options import json_option, print_json

if TYPE_CHECKING:
    from trtnemo.checkpoint.family.card import Comparison


@click.command("eval")
@click.option(
    "--url", default="http://127.0.0.1:8123", show_default=True, help="Base URL of an OpenAI-compatible server."
)
@click.option("--model", help="Model name.  [default: the server's first]")
@click.option("--tokenizer", help="Tokenizer directory or hub id.  [default: the model's name]")
@click.option(
    "--task", "tasks", multiple=True, help="lm-eval task. Repeatable.  [default: those with a row on the card]"
)
@click.option(
    "--chat/--completions", default=False, help="Use /v1/chat/completions, which cannot run log-likelihood tasks."
)
@click.option("--limit", type=click.IntRange(1), help="Questions per task.")
@click.option("--include-path", type=click.Path(path_type=Path), help="Directory of further task files.")
@click.option(
    "--precision",
    type=click.Choice(["bf16", "fp8", "nvfp4"]),
    default="nvfp4",
    show_default=True,
    help="Column of the model card's table.",
)
@click.option(
    "--fail-below", is_flag=True, help="Exit 1 when a score lies below the card's by more than the tolerance."
)
@json_option
@click.pass_context
def eval_command(
    context: click.Context,
    url: str,
    model: str | None,
    tokenizer: str | None,
    tasks: tuple[str, ...],
    chat: bool,
    limit: int | None,
    include_path: Path | None,
    precision: Any,
    fail_below: bool,
    as_json: bool,
) -> None:
    """Measure accuracy with lm-eval, beside the model card's table.

    Needs the extra [eval]. lm-eval's prompts are not the card's, which were NeMo Evaluator's: `trtnemo render --as
    evaluator` writes that file. A score is as the card's within one point and two standard errors.
    """
    from trtnemo.bench.evaluate import evaluate

    results = evaluate(url, model, tokenizer, tasks, chat, limit, include_path, precision)
    if as_json:
        print_json([{**dataclasses.asdict(item), "allowed": item.allowed, "verdict": item.verdict} for item in results])
    else:
        _print(results)
    if fail_below and any(item.verdict == "below the card" for item in results):
        context.exit(1)


def _print(results: list[Comparison]) -> None:
    for item in results:
        error = f" ± {item.standard_error:.2f}" if item.standard_error is not None else ""
        card = f"card {item.card:.2f} ({item.suite}), tolerance {item.allowed:.2f}: " if item.card is not None else ""
        click.echo(f"{item.task} {item.metric}: {item.score:.2f}{error} %; {card}{item.verdict}")
