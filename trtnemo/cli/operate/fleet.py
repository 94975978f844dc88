"""`trtnemo status`, `trtnemo logs` and `trtnemo stop`: the external servers that are kept serving on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trtnemo.cli.options import json_option, print_json
from trtnemo.errors import UsageError

if TYPE_CHECKING:
    from trtnemo.launch.keep.machine.member import Member

STOP_SECONDS = 900.0


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show the external servers that `trtnemo serve` keeps serving on this machine.

    A supervisor that was killed leaves its server running, and `stop` or the next `serve` ends it: its state is `left`.
    Our own servers are not listed; they have /health, /ready and /metrics.
    """
    from trtnemo.launch.keep.machine.fleet import glance
    from trtnemo.launch.keep.machine.member import members

    seen = [glance(member) for member in members()]
    if as_json:
        print_json({"servers": seen})
        return
    if not seen:
        click.echo("No external server is kept serving here.")
    for item in seen:
        speed = "-" if item["tokens_per_second"] is None else f"{item['tokens_per_second']:.0f} tokens/s"
        running = "-" if item["running"] is None else f"{item['running']:.0f} running"
        since = f"{item['state']} for {_duration(item['seconds'])}"
        click.echo(
            f"{item['name']:<28} {since:<24} {item['restarts']} restarts  {running:<11} {speed:<14} {item['url']}"
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"


@click.command()
@click.argument("name", required=False)
@click.option(
    "--lines", "-n", type=click.IntRange(1), default=50, show_default=True, help="How many of the last lines."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines until Ctrl-C.")
def logs(name: str | None, lines: int, follow: bool) -> None:
    """Print the last lines of a supervised server's log.

    NAME is that of `status`; where one server alone is kept, it may be left out. A log is kept when its server has
    ended, 16 MiB of it and three older files.
    """
    from trtnemo.launch.keep.machine.fleet import follow_lines, last_lines

    path = _log_of(name)
    for line in last_lines(path, lines):
        click.echo(line)
    if follow:
        for line in follow_lines(path):
            click.echo(line)


@click.command()
@click.argument("name", required=False)
@click.option("--kill", is_flag=True, help="Do not wait for what runs.")
def stop(name: str | None, kill: bool) -> None:
    """End a supervised server, and wait until it has ended.

    NAME is that of `status`; where one server alone is kept, it may be left out. Requests that run have the server's
    own time to end. What a supervisor that is gone has left is ended too.
    """
    from trtnemo.launch.keep.machine.fleet import end_member

    member = _member(name)
    click.echo(f"ending {member.name}")
    end_member(member, kill=kill, seconds=STOP_SECONDS)
    click.echo(f"{member.name} has ended")


def _member(name: str | None) -> Member:
    from trtnemo.launch.keep.machine.member import members

    known = {member.name: member for member in members()}
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name not in known:
        names = ", ".join(known) or "none"
        what = "give a name" if name is None else f"no server '{name}' is kept serving here"
        raise UsageError(f"{what}; there are: {names}")
    return known[name]


def _log_of(name: str | None) -> Path:
    from trtnemo.launch.keep.machine.member import directory

    if name is None:
        return _member(name).log
    path = directory() / f"{Path(name).name}.log"
    return path if path.is_file() else _member(name).log


@click.command()
@click.argument("name", required=False)
@click.option(
    "--engine", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="The other bundle."
)
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=7200.0,
    show_default=True,
    help="Seconds to wait for what becomes of it.",
)
@click.pass_context
def replace(context: click.Context, name: str | None, engine: Path, timeout: float) -> None:
    """Serve another bundle in the place of one that is served.

    NAME is that of `status`; where one server alone is kept, it may be left out. What runs has the server's own time to
    end; then the other bundle starts at the same address, and is asked a known question. Where it does not start, or
    its answer is not right, the bundle before is started again, and this exits with 1.
    """
    from trtnemo.launch.keep.machine.replacement import ask_for

    answer = ask_for(_member(name), engine, timeout)
    click.echo(f"{answer.outcome}: {answer.text}", err=answer.outcome != "replaced")
    if answer.outcome != "replaced":
        context.exit(1)
