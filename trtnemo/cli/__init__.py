"""The `trtnemo` command."""

from __future__ import annotations

import sys

import click

from trtnemo import __version__
from trtnemo.cli.group import COMMANDS, LazyGroup, run


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="trtnemo")
def cli() -> None:
    """Build and serve NVIDIA Nemotron-3 hybrids from one recipe.

    What can be proven without a GPU is proven here; `trtnemo doctor` says what was only compiled or interpreted.
    """


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(cli))
