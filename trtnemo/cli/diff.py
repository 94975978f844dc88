"""`trtnemo diff`."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import click

from trtnemo.cli.options import json_option, print_json
from trtnemo.errors import UsageError


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--logits", type=click.Path(path_type=Path), metavar="TEXTS", help="Also run two checkpoints over a text "
              "file, one text per line (or .jsonl): KL, top-1, perplexity, worst layers.")  # fmt: skip
@click.option("--logits-tokens", type=click.IntRange(2, 1 << 16), default=2048, show_default=True,
              help="With --logits: how many tokens.")  # fmt: skip
@json_option
@click.pass_context
def diff(
    context: click.Context, first: str, second: str, logits: Path | None, logits_tokens: int, as_json: bool
) -> None:
    """Compare two engines, two bundles, or the weights of two checkpoints.

    Of checkpoints, every number is compared as it decodes, so that BF16 and NVFP4 of one model go beside each other.
    Exits 0 when they are the same, 1 when they differ.
    """
    is_built = _is_built(first, second)
    if is_built and logits is not None:
        raise UsageError("--logits compares two checkpoints", remedy="Give the checkpoints that they were built from")
    same = (
        _diff_manifests(first, second, as_json)
        if is_built
        else _diff_weights(first, second, logits, logits_tokens, as_json)
    )
    if not same:
        context.exit(1)


def _is_built(first: str, second: str) -> bool:
    """Return whether engines or bundles are meant: one of them is, or neither looks like a checkpoint."""
    from trtnemo.engine.manifest import MANIFEST

    def is_checkpoint(name: str) -> bool:
        is_named = name == "tiny" or re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None
        return (Path(name) / "config.json").is_file() or (is_named and not Path(name).exists())

    has_manifest = any((Path(name) / MANIFEST).is_file() for name in (first, second))
    return has_manifest or not any(is_checkpoint(name) for name in (first, second))


def _diff_manifests(first: str, second: str, as_json: bool) -> bool:
    from trtnemo.engine.difference import differences
    from trtnemo.engine.manifest import read_manifest

    found = differences(read_manifest(Path(first)), read_manifest(Path(second)))
    if as_json:
        print_json({"same": not found, "differences": [dataclasses.asdict(item) for item in found]})
    else:
        for item in found:
            click.echo(f"{item.key}\n  - {item.first}\n  + {item.second}")
        click.echo(f"{len(found)} differences" if found else "the same")
    return not found


def _diff_weights(first: str, second: str, logits: Path | None, most: int, as_json: bool) -> bool:
    from trtnemo.checkpoint import Checkpoint
    from trtnemo.checkpoint.comparing.compare import compare_checkpoints
    from trtnemo.cli.views.progress import point_progress
    from trtnemo.cli.views.weights import difference_json, print_difference

    ours, theirs = Checkpoint.survey(first), Checkpoint.survey(second)
    with point_progress() as report:
        found = compare_checkpoints(ours, theirs, report)
    predicted = None
    if logits is not None:
        from trtnemo.cli.weights.logits import logits_difference, logits_json, print_logits

        predicted = logits_difference(ours, theirs, logits, most)
    if as_json:
        more = {} if predicted is None else {"logits": logits_json(predicted)}
        print_json({**difference_json(found), **more})
    else:
        print_difference(found)
        if predicted is not None:
            print_logits(predicted)
    return found.same
