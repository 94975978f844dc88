"""`trtnemo diff --logits`: how far the predictions of two checkpoints are apart."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trtnemo.cli.views.progress import point_progress
from trtnemo.cli.views.weights import db_text
from trtnemo.cli.weights.texts import read_texts, tokenize
from trtnemo.errors import MachineError

if TYPE_CHECKING:
    from trtnemo.backends.torch.streamed.compare import LogitsDifference
    from trtnemo.checkpoint import Checkpoint

_SHOWN = 8


def read_ids(first: Checkpoint, second: Checkpoint, file: Path, most: int) -> list[list[int]]:
    """Return token ids of a file's texts by the first's tokenizer, of `most` tokens in all.

    Raises what would keep both from being run: CheckpointError, UsageError, and MachineError without torch.
    """
    if importlib.util.find_spec("torch") is None:
        raise MachineError("--logits needs torch", remedy="pip install 'trtnemo[torch]'")
    ids = tokenize(first.directory, read_texts(file), first.config.vocab_size, most)
    from trtnemo.backends.torch.streamed.compare import require_comparable

    for checkpoint in (first, second):
        checkpoint.require_weights()
    require_comparable(first, second)
    return ids


def logits_difference(first: Checkpoint, second: Checkpoint, ids: list[list[int]]) -> LogitsDifference:
    """Return how two checkpoints differ over token ids; raises CheckpointError, UsageError."""
    from trtnemo.backends.torch.streamed.compare import compare_logits

    with point_progress() as report:
        return compare_logits(first, second, ids, report)


def logits_json(found: LogitsDifference) -> dict[str, Any]:
    """Return the differences as JSON; a layer's decibels are null where nothing differs, or is no number."""
    return {
        "tokens": found.tokens,
        "texts": found.texts,
        "kl": _finite(found.kl),
        "kl_largest": _finite(found.kl_largest),
        "top_1": found.top_1,
        "perplexities": [_finite(value) for value in found.perplexities],
        "layers": [
            {"layer": one.layer, "own_db": _finite(one.own_db), "stream_db": _finite(one.stream_db)}
            for one in found.layers
        ],
    }


def print_logits(found: LogitsDifference) -> None:
    """Print the divergence, and the layers that add most of it."""
    first, second = found.perplexities
    change = f" ({100 * (second / first - 1):+.2f} %)" if first else ""
    click.echo(f"over {found.tokens:,} tokens of {found.texts} texts:")
    click.echo(f"  perplexity {first:.4g} -> {second:.4g}{change}")
    click.echo(f"  the same most probable token {100 * found.top_1:.2f} %")
    click.echo(f"  KL divergence {found.kl:.3g} on average, {found.kl_largest:.3g} at most (nats)")
    worst = sorted(found.layers, key=lambda one: -math.inf if one.own_db is None else one.own_db)
    worst = [one for one in worst if one.own_db is None or math.isfinite(one.own_db)][:_SHOWN]
    if worst:
        click.echo("the layers whose own output differs most, given the first's input (and the stream behind them):")
    for one in worst:
        click.echo(f"  {db_text(one.own_db):>9}  {db_text(one.stream_db):>9}  {one.layer}")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
