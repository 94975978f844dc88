"""The command group: commands are imported when they are called, errors become one line and an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import click

from trtnemo.errors import TrtnemoError, UsageError

# name -> what `--help` says of it; a test holds these against the commands' own first lines
COMMANDS: dict[str, str] = {
    "batch": "Answer a file of requests in OpenAI's batch format, resumable.",
    "bench": "Measure speed.",
    "build": "Build the engine of a recipe.",
    "chat": "Talk to a running server.",
    "check": "Check a checkpoint, a recipe or a pasted server command.",
    "diff": "Compare two engines or bundles, key by key.",
    "doctor": "Say what this machine can build and serve, and why not the rest.",
    "eval": "Measure accuracy with lm-eval, beside the model card's table.",
    "fetch": "Download a checkpoint at one commit, audited before and after.",
    "inspect": "Show what an engine is made of, and verify its files.",
    "plan": "Plan a recipe's memory to the byte, and bound its speed.",
    "quantize": "Quantize a BF16 checkpoint with ModelOpt.",
    "recipes": "List, show, describe and import recipes.",
    "render": "Write a recipe as a command, for Docker, Compose or Slurm, or for a client.",
    "serve": "Serve an engine over the OpenAI API.",
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports only the one that is called.

    table: what `--help` says of each; prefix: what the names of their modules begin with; elsewhere: module and name of
    those that do not stand under their own.
    """

    def __init__(
        self,
        *arguments: Any,
        table: dict[str, str],
        prefix: str = "",
        elsewhere: dict[str, tuple[str, str]],
        **more: Any,
    ) -> None:
        super().__init__(*arguments, **more)
        self._table, self._prefix, self._elsewhere = table, prefix, elsewhere

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command by name."""
        if cmd_name not in self._table:
            return None
        module, name = self._elsewhere.get(cmd_name, (self._prefix + cmd_name, cmd_name))
        command: click.Command = getattr(importlib.import_module(f"trtnemo.cli.{module}"), name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command; an unknown one is told with the nearest name."""
        if args and args[0] not in self._table and not args[0].startswith("-"):
            from trtnemo.recipe.nearest import suggestion

            raise UsageError(
                f"there is no command '{args[0]}'{suggestion(args[0], self._table)}",
                remedy=f"`{ctx.command_path} --help` lists them",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(self._table.items()))


def run(group: click.Group, arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every expected failure is one line on stderr."""
    # SIGTERM unwinds like Ctrl-C, so that a killed build removes what it has written.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        result = group.main(args=arguments, prog_name="trtnemo", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except TrtnemoError as error:
        click.echo(f"trtnemo: error: {error}", err=True)
        return error.exit_code
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("trtnemo: interrupted", err=True)
        return 130
    except BrokenPipeError:
        # The reader of our output left; say nothing, and keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
