"""`trtnemo bench`: a group whose commands are imported when they are called."""

from __future__ import annotations

import click

from trtnemo.cli.group import LazyGroup

# name -> what `--help` says of it; a test holds these against the commands' own first lines
COMMANDS = {
    "compare": "Compare runs of two servers, stored or taken now in turn.",
    "gate": "Compare like `compare`, and fail when the second is slower.",
    "profile": "Show where a token's time goes, op by op, on the native CPU runtime.",
    "report": "Write the runs below a directory as one HTML page and PNGs.",
    "run": "Measure one load against an endpoint, or a recipe served meanwhile.",
    "sweep": "Measure every point of a spec, or search the largest load within limits.",
}


@click.group(cls=LazyGroup, table=COMMANDS, prefix="bench_", elsewhere={"gate": ("bench_compare", "gate")})
def bench() -> None:
    """Measure speed."""
