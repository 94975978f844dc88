"""`trtnemo bench`: a group whose commands are imported when they are called."""

from __future__ import annotations

import importlib

import click

# name -> what `--help` says of it; a test holds these against the commands' own first lines
COMMANDS = {
    "compare": "Compare runs of two servers, stored or taken now in turn.",
    "gate": "Compare like `compare`, and fail when the second is slower.",
    "profile": "Show where a token's time goes, op by op, on the native CPU runtime.",
    "report": "Write the runs below a directory as one HTML page and PNGs.",
    "run": "Measure one load against an endpoint, or a recipe served meanwhile.",
    "sweep": "Measure every point of a spec, or search the largest load within limits.",
}


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"trtnemo.cli.bench_{'compare' if cmd_name == 'gate' else cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Group)
def bench() -> None:
    """Measure speed."""
