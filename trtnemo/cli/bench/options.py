"""Options that the commands of `trtnemo bench` share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trtnemo.errors import UsageError

if TYPE_CHECKING:
    from trtnemo.bench.load.shape import LoadShape
    from trtnemo.bench.load.summary import Summary

Function = TypeVar("Function", bound=Callable[..., Any])

_LOAD_OPTIONS = (
    click.option(
        "--prompts", default="chat", show_default=True, help="chat, code, math, tools, long, or a JSONL file."
    ),
    click.option("--concurrency", type=click.IntRange(1), help="Requests in flight at any time.  [default: 1]"),
    click.option(
        "--rate", type=click.FloatRange(0, min_open=True), help="Requests a second instead, Poisson arrivals."
    ),
    click.option(
        "--requests", type=click.IntRange(1), help="Requests measured.  [default: 64, or as many as --seconds allow]"
    ),
    click.option(
        "--seconds", type=click.FloatRange(0, min_open=True), help="Stop after this many seconds, whatever is left."
    ),
    click.option(
        "--warmup", type=click.IntRange(0), default=4, show_default=True, help="Requests before the measured ones."
    ),
    click.option(
        "--input-tokens", metavar="N|LOW-HIGH", help="Approximate prompt length in tokens.  [default: unchanged]"
    ),
    click.option("--output-tokens", default="64", show_default=True, metavar="N|LOW-HIGH", help="Length of answers."),
    click.option("--ends-free", is_flag=True, help="Stop at end-of-sequence; --output-tokens is then a maximum."),
    click.option("--thinking/--no-thinking", default=None, help="Turn thinking on or off.  [default: the server's]"),
    click.option(
        "--temperature", type=click.FloatRange(0), default=0.0, show_default=True, help="Sampling temperature."
    ),
    click.option("--completions", is_flag=True, help="Ask /v1/completions instead of the chat endpoint."),
    click.option(
        "--fresh/--repeated",
        default=True,
        help="Begin each prompt with a unique mark, so that no prefix is cached.  [default: fresh]",
    ),
    click.option(
        "--patience",
        type=click.FloatRange(0, min_open=True),
        default=600.0,
        show_default=True,
        help="Seconds without a byte before a request fails.",
    ),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed for prompts and lengths."
    ),
)


def load_options(function: Function) -> Function:
    """Add the options of one load."""
    for option in reversed(_LOAD_OPTIONS):
        function = option(function)
    return function


def read_shape(words: dict[str, Any]) -> LoadShape:
    """Return the load that the options describe; raises UsageError."""
    from pydantic import ValidationError

    from trtnemo.bench.load.shape import LoadShape
    from trtnemo.validation import first_fault

    completions = words.pop("completions")
    lengths = {name: _read_lengths(name, words.pop(name)) for name in ("input_tokens", "output_tokens")}
    if words["concurrency"] is None and words["rate"] is None:
        words["concurrency"] = 1
    try:
        return LoadShape.model_validate({**words, **lengths, "api": "completions" if completions else "chat"})
    except ValidationError as error:
        fault = first_fault(error)
        option = f"--{fault.path[0]}: ".replace("_", "-") if fault.path else ""
        raise UsageError(option + fault.message) from None


def require_empty(directory: Path, option: str) -> None:
    """Make a directory, or take one that is empty; raises UsageError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        is_empty = not any(directory.iterdir())
    except OSError as error:
        raise UsageError(f"cannot be a directory: {error.strerror}", where=str(directory)) from None
    if not is_empty:
        raise UsageError("is not empty", where=str(directory), remedy=f"Choose another {option}")


def _read_lengths(name: str, text: str | None) -> dict[str, int] | None:
    if text is None:
        return None
    low, dash, high = text.partition("-")
    try:
        return {"low": int(low), "high": int(high if dash else low)}
    except ValueError:
        raise UsageError(f"--{name.replace('_', '-')} takes a number or LOW-HIGH, not {json.dumps(text)}") from None


def print_summary(title: str, found: Summary) -> None:
    """Print the numbers of a run."""
    click.echo(f"{title}: {found.requests} requests in {found.seconds:.1f} s")
    bad = {
        "failed": found.failed,
        "unfinished": found.unfinished,
        "without a token": found.empty,
        "thinking only": found.thinking_only,
    }
    for what, count in bad.items():
        if count:
            click.echo(f"  {count} {what}")
    for name, value in found.metrics.items():
        unit, shown = ("ms", value * 1000) if name.startswith(("ttft", "itl", "latency")) else ("", value)
        click.echo(f"  {name:<36}{shown:>12,.2f} {unit}")
    shares = {"drafts accepted": found.acceptance, "prompt tokens from cache": found.cache_hits}
    for what, share in shares.items():
        if share is not None:
            click.echo(f"  {what:<36}{share:>12.1%}")
