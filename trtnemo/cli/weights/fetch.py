"""`trtnemo fetch`."""

from __future__ import annotations

from pathlib import Path

import click

from trtnemo.cli.options import json_option, print_json
from trtnemo.cli.views.audit import audit_json, print_audit


@click.command()
@click.argument("checkpoint")
@click.option("--revision", help="Branch, tag or commit.  [default: main]")
@click.option("--output", type=click.Path(path_type=Path), help="Directory, instead of the hub's cache.")
@click.option("--anyway", is_flag=True, help="Skip the audit and download even if it would fail.")
@json_option
@click.pass_context
def fetch(
    context: click.Context, checkpoint: str, revision: str | None, output: Path | None, anyway: bool, as_json: bool
) -> None:
    """Download a checkpoint at one commit, audited before and after.

    CHECKPOINT is a hub id. Its revision is pinned to the commit that it means now; headers are audited and the free
    disk is compared before any weight is fetched; an interrupted download resumes; then every scale is read. Prints
    the recipe lines that name exactly what was fetched. Exits 1 when something is wrong with it.
    """
    from trtnemo.checkpoint.fetch import fetch_checkpoint, pinned

    fetched = fetch_checkpoint(checkpoint, revision, output, anyway=anyway)
    if as_json:
        place = {"name": fetched.name, "revision": fetched.commit, "directory": str(fetched.directory)}
        print_json({**place, "audit": audit_json(fetched.report)})
    else:
        click.echo(pinned(fetched))
        print_audit(fetched.report)
    if not fetched.report.passed:
        context.exit(1)
