"""`trtnemo bench`: a group whose commands are imported when they are called."""

from __future__ import annotations

import click

from trtnemo.cli.group import Entry, LazyGroup

# a test compares these lines with the commands' own first lines
COMMANDS = {
    "compare": Entry("bench.compare:compare", "Compare runs of two servers, stored or taken now in turn."),
    "gate": Entry("bench.compare:gate", "Compare like `compare`, and fail when the second is slower."),
    "profile": Entry("bench.profile:profile", "Show where a token's time goes, by op, or by kernel on a GPU."),
    "report": Entry("bench.report:report", "Write the runs below a directory as one HTML page and PNGs."),
    "run": Entry("bench.run:run", "Measure one load against an endpoint, or against a recipe started for it."),
    "sweep": Entry("bench.sweep:sweep", "Measure every point of a spec, or search the largest load within limits."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def bench() -> None:
    """Measure speed."""
