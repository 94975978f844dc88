"""The command group: commands are imported when they are called, errors become one line and an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, TextIO

import click

from trtnemo.errors import RenamedKeyWarning, TrtnemoError, UsageError, one_line


@dataclass(frozen=True)
class Entry:
    """A command before it is imported: `module:attribute` below trtnemo.cli, and its line in `--help`."""

    place: str
    help: str


# a test compares these lines with the commands' own first lines
COMMANDS: dict[str, Entry] = {
    "batch": Entry("operate.batch:batch", "Answer a file of requests in OpenAI's batch format, resumable."),
    "bench": Entry("bench.group:bench", "Measure speed."),
    "build": Entry("build:build", "Build the engine of a recipe."),
    "cache": Entry("operate.cache:cache", "List and remove engines and checkpoints that take room on this machine."),
    "chat": Entry("operate.chat:chat", "Talk to a running server."),
    "check": Entry("check:check", "Check a checkpoint, a recipe or a pasted server command."),
    "convert": Entry("weights.convert:convert", "Convert a checkpoint to the layout of the hub, or to fused experts."),
    "diff": Entry("diff:diff", "Compare two engines, two bundles, or the weights of two checkpoints."),
    "doctor": Entry(
        "operate.doctor:doctor", "Show what this machine can build and serve, and what is missing for the rest."
    ),
    "eval": Entry("operate.eval:eval_command", "Measure accuracy with lm-eval, beside the model card's table."),
    "fetch": Entry("weights.fetch:fetch", "Download a checkpoint at one commit, audited before and after."),
    "gateway": Entry("operate.gateway:gateway", "Put keys, limits and bounds before servers that have none."),
    "inspect": Entry("inspect:inspect", "Show what an engine is made of, and verify its files."),
    "logs": Entry("operate.fleet:logs", "Print the last lines of a supervised server's log."),
    "merge": Entry("weights.merge:merge", "Merge LoRA adapters into a BF16 checkpoint of any size."),
    "plan": Entry("plan:plan", "Plan a recipe's memory to the byte, and give an upper bound of its speed."),
    "quantize": Entry("weights.quantize:quantize", "Quantize a BF16 checkpoint of any size."),
    "recipes": Entry("recipes:recipes", "List, show, describe, import and upgrade recipes."),
    "replace": Entry("operate.fleet:replace", "Serve another bundle in the place of one that is served."),
    "render": Entry(
        "render:render", "Write a recipe as a command, for Docker, Compose, Slurm or a cluster, or for a client."
    ),
    "run": Entry("operate.run:run", "Run a model on this machine and ask it."),
    "serve": Entry("operate.serve:serve", "Serve an engine over the OpenAI API."),
    "status": Entry(
        "operate.fleet:status", "Show the external servers that `trtnemo serve` keeps serving on this machine."
    ),
    "stop": Entry("operate.fleet:stop", "End a supervised server, and wait until it has ended."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports only the one that is called."""

    def __init__(self, *arguments: Any, table: dict[str, Entry], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command by name."""
        if cmd_name not in self._table:
            return None
        module, _, name = self._table[cmd_name].place.partition(":")
        command: click.Command = getattr(importlib.import_module(f"trtnemo.cli.{module}"), name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command; an unknown one is reported with the nearest name."""
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
            formatter.write_dl([(name, self._table[name].help) for name in sorted(self._table)])


def run(group: click.Group, arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every expected failure is one line on stderr."""
    # SIGTERM unwinds like Ctrl-C, so that a killed build removes what it has written.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _plain_warnings():
            result = group.main(args=arguments, prog_name="trtnemo", standalone_mode=False)
        sys.stdout.flush()
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
        return _reader_left()
    except SystemExit as ended:
        # click catches a broken pipe before us and exits with 1; a shell's completion ends here too
        if isinstance(ended.__context__, BrokenPipeError):
            return _reader_left()
        raise


def _reader_left() -> int:
    """Say nothing where the reader of our output left, and keep Python from complaining at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Write a warning about a recipe's key as one line of ours; any other is shown as Python shows it."""
    show_others = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, RenamedKeyWarning):
            click.echo(f"trtnemo: warning: {one_line(str(message))}", err=True)
        else:
            show_others(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        warnings.simplefilter("always", RenamedKeyWarning)
        warnings.showwarning = show
        yield


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
