"""`trtnemo diff`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from trtnemo.cli.options import json_option, print_json


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def diff(context: click.Context, first: Path, second: Path, as_json: bool) -> None:
    """Compare two engines or bundles, key by key.

    Exits 0 when they are the same, 1 when they differ.
    """
    from trtnemo.engine.difference import differences
    from trtnemo.engine.manifest import read_manifest

    found = differences(read_manifest(first), read_manifest(second))
    if as_json:
        print_json({"same": not found, "differences": [dataclasses.asdict(item) for item in found]})
    else:
        for item in found:
            click.echo(f"{item.key}\n  - {item.first}\n  + {item.second}")
        click.echo(f"{len(found)} differences" if found else "the same")
    if found:
        context.exit(1)
