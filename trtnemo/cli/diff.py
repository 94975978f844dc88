"""`trtnemo diff`."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import click

from trtnemo.cli.options import json_option, print_json
from trtnemo.errors import UsageError

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--html", type=_FILE, metavar="FILE", help="Of checkpoints: also write one HTML page of it.")
@click.option("--logits", type=_FILE, metavar="TEXTS", help="Of checkpoints: also run both over a text file, one text "
              "per line (or .jsonl): KL, top-1, perplexity, worst layers.")  # fmt: skip
@click.option("--logits-tokens", type=click.IntRange(2, 1 << 16), default=2048, show_default=True,
              help="With --logits: how many tokens.")  # fmt: skip
@json_option
@click.pass_context
def diff(
    context: click.Context,
    first: str,
    second: str,
    html: Path | None,
    logits: Path | None,
    logits_tokens: int,
    as_json: bool,
) -> None:
    """Compare two engines, two bundles, or the weights of two checkpoints.

    Of checkpoints, every number is compared as it decodes, so that BF16 and NVFP4 of one model go beside each other.
    Exits 0 when they are the same, 1 when they differ.
    """
    if _is_built(first, second):
        _refuse_options(first, second, html, logits)
        same = _diff_manifests(first, second, as_json)
    else:
        from trtnemo.cli.weights.compare import diff_weights

        same = diff_weights(first, second, html, logits, logits_tokens, as_json)
    if not same:
        context.exit(1)


def _is_built(first: str, second: str) -> bool:
    """Return whether engines or bundles are meant: one of them is, or neither looks like a checkpoint."""
    from trtnemo.engine.manifest import MANIFEST

    def is_checkpoint(name: str) -> bool:
        is_named = name == "tiny" or re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None
        return (Path(name) / "config.json").is_file() or (is_named and not Path(name).exists())

    has_manifest = any((Path(name) / MANIFEST).is_file() for name in (first, second))
    if not has_manifest and not any(Path(name).exists() or is_checkpoint(name) for name in (first, second)):
        raise UsageError("there is no such directory", where=f"{first} and {second}",
                         remedy="Give two engines, two bundles or two checkpoints")  # fmt: skip
    return has_manifest or not any(is_checkpoint(name) for name in (first, second))


def _refuse_options(first: str, second: str, html: Path | None, logits: Path | None) -> None:
    """Raise UsageError for what is of checkpoints alone."""
    for name, value, does in (("--html", html, "draws the weights"), ("--logits", logits, "runs the networks")):
        if value is not None:
            raise UsageError(f"{name} {does} of two checkpoints, and these are engines or bundles",
                             where=f"{first} and {second}",
                             remedy=f"Leave {name} out: the differences are printed, and are in --json")  # fmt: skip


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
