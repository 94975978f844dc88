"""`trtnemo cache`."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from trtnemo.cli.options import json_option, print_json
from trtnemo.errors import UsageError


@click.group()
def cache() -> None:
    """List and remove engines and checkpoints that take room on this machine."""


@cache.command("list")
@json_option
def list_cache(as_json: bool) -> None:
    """List engines that `trtnemo run` built, and checkpoints of the family in the hub's cache, the largest first."""
    from trtnemo.launch.kept import list_kept, places

    kept = list_kept()
    if as_json:
        rows: list[dict[str, Any]] = [{**vars(one), "path": str(one.path)} for one in kept]
        print_json(rows)
        return
    if not kept:
        click.echo(f"nothing is kept in {' and '.join(map(str, places()))}")
    for one in kept:
        used = time.strftime("%Y-%m-%d", time.localtime(one.used))
        state = "  (not whole: `trtnemo run` goes on with its download)" if one.partial else ""
        click.echo(f"{one.bytes / 1e9:>8.2f} GB  {one.kind:<10}  last used {used}  {one.name}{state}")


@cache.command("remove")
@click.argument("names", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_cache(names: tuple[str, ...], yes: bool) -> None:
    """Remove engines or checkpoints by the names that `cache list` gives, in any case.

    A server that runs keeps what it has mapped, and its room on the disk, until it ends: it is named.
    """
    from trtnemo.files.users import processes_using
    from trtnemo.launch.kept import find_kept, remove

    chosen = find_kept(names)
    total = sum(one.bytes for one in chosen)
    for one in chosen:
        if users := ", ".join(map(str, processes_using(one.path))):
            click.echo(f"{one.name} is used by process {users}, which keeps its room until it ends", err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nobody can be asked here", remedy="Add --yes")
        click.confirm(f"Remove {', '.join(one.name for one in chosen)} ({total / 1e9:.2f} GB)?", abort=True, err=True)
    for one in chosen:
        remove(one)
        click.echo(f"removed {one.name}: {one.bytes / 1e9:.2f} GB")
