"""`trtnemo bench compare` and `trtnemo bench gate`."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from trtnemo.cli.bench.options import load_options, read_shape
from trtnemo.cli.options import json_option, print_json, set_option, write_text
from trtnemo.cli.views.progress import count_progress
from trtnemo.errors import UsageError

if TYPE_CHECKING:
    from trtnemo.bench.gate.compare import Comparison

CANNOT_TELL = 9


def _options(function: Any) -> Any:
    for option in (
        json_option,
        click.option("--markdown", type=click.Path(path_type=Path), help="Write a summary for a pull request."),
        click.option("--gate-file", type=click.Path(path_type=Path), help="Thresholds by metric, YAML."),
        load_options,
        click.option(
            "--keep",
            type=click.Path(path_type=Path),
            help="Directory for the runs; runs that it already holds are reused.",
        ),
        click.option("--pairs", type=click.IntRange(5), default=40, show_default=True, help="Pairs of runs to take."),
        click.option("--base-devices", type=click.IntRange(1), default=1, help="Devices that BEFORE runs on."),
        click.option(
            "--devices", type=click.IntRange(1), default=1, help="Devices that AFTER runs on; a recipe names its own."
        ),
        click.option("--base-model", help="Model to ask BEFORE for.  [default: the server's first]"),
        click.option("--model", help="Model to ask AFTER for.  [default: the server's first]"),
        click.option(
            "--base-program", help="Command to use instead of `trtnemo` to serve BEFORE, such as another checkout's."
        ),
        click.option("--program", help="Command to use instead of `trtnemo` to serve AFTER."),
        set_option,
        click.argument("after", required=False),
        click.argument("before"),
    ):
        function = option(function)
    return function


@click.command()
@_options
@click.pass_context
def compare(context: click.Context, /, **words: Any) -> None:
    """Compare runs of two servers, stored or taken now in turn.

    BEFORE and AFTER are each a recipe, an engine or the address of a server: runs are taken of one and the other in
    turn, both up all the while. --set and --program change the second, which is the first again where it is not given.
    Two directories of stored runs, five at least in each, are compared as they are. Bounds are of a bootstrap.
    """
    _compare(context, words, gates=False)


@click.command()
@_options
@click.pass_context
def gate(context: click.Context, /, **words: Any) -> None:
    """Compare like `compare`, and fail when the second is slower.

    Exits 0 when every gated metric is fine, 1 on a regression, 9 when the runs cannot tell; then it says how many
    would. Without --gate-file output tokens a second are gated at 10 %.
    """
    _compare(context, words, gates=True)


def _compare(context: click.Context, words: dict[str, Any], *, gates: bool) -> None:
    from trtnemo.bench.gate.compare import compare as compare_runs
    from trtnemo.bench.gate.gate_file import GateFile
    from trtnemo.bench.gate.markdown import outcome, render_markdown
    from trtnemo.bench.gate.pairs import read_pairs
    from trtnemo.bench.gate.stored import read_stored

    as_json, markdown, gate_file = (words.pop(name) for name in ("as_json", "markdown", "gate_file"))
    if markdown is not None:
        write_text(markdown, "")  # what cannot be written is reported before minutes of measuring
    thresholds = GateFile() if gate_file is None else GateFile.load(gate_file)
    stored = _are_stored(context, words)
    if stored:
        runs = read_stored(Path(words["before"]), Path(words["after"]))
        first, second = runs.before, runs.after
        _tell_unlike(runs.unlike, gates=gates)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            directory = words.pop("keep") or Path(temporary)
            _take_runs(words, directory)
            first, second = read_pairs(directory)
    found = compare_runs(first, second, thresholds, paired=not stored)
    text = render_markdown(found, thresholds)
    if markdown is not None:
        write_text(markdown, text)
    if as_json:
        print_json([_as_json(item) for item in found])
    else:
        click.echo(text)
    if gates:
        context.exit({"regression": 1, "cannot tell": CANNOT_TELL, "fine": 0}[outcome(found).value])


def _are_stored(context: click.Context, words: dict[str, Any]) -> bool:
    """Return whether both sides are directories of runs; raises UsageError when one is, or on others' options."""
    from trtnemo.bench.host import is_engine

    sides = [words["before"], words["after"] or words["before"]]
    stored = [Path(side).is_dir() and not is_engine(Path(side)) for side in sides]
    if not any(stored):
        return False
    if not all(stored) or words["after"] is None:
        raise UsageError("stored runs are compared with stored runs; give two directories of them")
    for option in context.command.params:
        is_given = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if is_given and option.name in words.keys() - {"before", "after"}:
            raise UsageError(f"{option.opts[0]} is for runs that are taken now; these are stored")
    return True


def _tell_unlike(unlike: list[str], *, gates: bool) -> None:
    """Say in what else the runs differ; raises UsageError for a gate, which is of servers alone."""
    if unlike and gates:
        raise UsageError(
            f"the runs differ in more than the server: {'; '.join(unlike)}", remedy="`compare` shows them all the same"
        )
    for fact in unlike:
        click.echo(f"The runs differ in {fact}", err=True)


def _take_runs(words: dict[str, Any], directory: Path) -> None:
    from trtnemo.bench.gate.pairs import measure_pairs
    from trtnemo.bench.host import Place
    from trtnemo.bench.load.prompts import read_set

    before, after, settings, pairs = (words.pop(name) for name in ("before", "after", "settings", "pairs"))
    first, second = (
        {
            "program": tuple(shlex.split(words.pop(f"{side}program") or "")),
            "model": words.pop(f"{side}model"),
            "devices": words.pop(f"{side}devices"),
        }
        for side in ("base_", "")
    )
    shape = read_shape(words)
    places = Place.named(before, **first), Place.named(after or before, settings=settings, **second)
    read_set(shape.prompts)  # reported before a server starts
    with count_progress("runs") as report:
        measure_pairs(*places, shape, pairs, directory, report)


def _as_json(item: Comparison) -> dict[str, Any]:
    return {**item.__dict__, "verdict": item.verdict.value if item.verdict else None}
