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
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Of checkpoints: also write one HTML page of it."
)
@json_option
@click.pass_context
def diff(context: click.Context, first: str, second: str, html: Path | None, as_json: bool) -> None:
    """Compare two engines, two bundles, or the weights of two checkpoints.

    Of checkpoints, every number is compared as it decodes, so that BF16 and NVFP4 of one model go beside each other.
    Exits 0 when they are the same, 1 when they differ.
    """
    is_built = _is_built(first, second)
    if is_built and html is not None:
        raise UsageError(
            "--html draws the weights of two checkpoints, and these are engines or bundles",
            where=f"{first} and {second}",
            remedy="Leave --html out: the differences are printed, and --json has them as data",
        )
    if not (_diff_manifests(first, second, as_json) if is_built else _diff_weights(first, second, html, as_json)):
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


def _diff_weights(first: str, second: str, html: Path | None, as_json: bool) -> bool:
    from trtnemo.checkpoint import Checkpoint
    from trtnemo.checkpoint.comparing.compare import compare_checkpoints
    from trtnemo.cli.views.pages.output import require_page
    from trtnemo.cli.views.progress import point_progress
    from trtnemo.cli.views.weights import difference_json, print_difference

    if html is not None:
        require_page(html)
    ours, theirs = Checkpoint.survey(first), Checkpoint.survey(second)
    with point_progress() as report:
        found = compare_checkpoints(ours, theirs, report)
    if as_json:
        print_json(difference_json(found))
    else:
        print_difference(found)
    if html is not None:
        from trtnemo.cli.views.pages.difference_page import write_difference_page

        write_difference_page(html, ours, theirs, found)
    return found.same
