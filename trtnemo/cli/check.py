"""`trtnemo check`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from trtnemo.cli.options import json_option, print_json

if TYPE_CHECKING:
    from trtnemo.checkpoint import AuditReport

SHOWN = 40


@click.command()
@click.argument("checkpoint")
@click.option("--revision", help="Hub revision: branch, tag or commit.")
@json_option
@click.pass_context
def check(context: click.Context, checkpoint: str, revision: str | None, as_json: bool) -> None:
    """Check a checkpoint: every tensor, every scale.

    CHECKPOINT is a directory, a hub id, or `tiny`. Exits 1 when something is wrong, 4 when it cannot be read.
    """
    from trtnemo.checkpoint import Checkpoint, audit

    report = audit(Checkpoint.open(checkpoint, revision))
    if as_json:
        print_json({"passed": report.passed, **dataclasses.asdict(report)})
    else:
        _print(report)
    if not report.passed:
        context.exit(1)


def _print(report: AuditReport) -> None:
    from rich.console import Console
    from rich.table import Table

    formats = ", ".join(f"{count} {name}" for name, count in report.formats.items())
    click.echo(f"{report.directory}: {report.tensors} tensors, {report.bytes:,} bytes; linear weights: {formats}")
    if report.findings:
        table = Table("severity", "rule", "tensor or file", "finding", box=None, pad_edge=False)
        for finding in report.findings[:SHOWN]:
            table.add_row(finding.severity, finding.rule, finding.subject, finding.message)
        console = Console(highlight=False, markup=False)
        console.print(table, soft_wrap=not console.is_terminal)
    if len(report.findings) > SHOWN:
        click.echo(f"... and {len(report.findings) - SHOWN} more (--json prints all)")
    warnings = len(report.findings) - len(report.errors)
    verdict = "passed" if report.passed else "FAILED"
    click.echo(f"{verdict}: {len(report.errors)} errors, {warnings} warnings")
