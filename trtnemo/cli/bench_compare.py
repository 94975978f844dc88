"""`trtnemo bench compare` and `trtnemo bench gate`."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trtnemo.cli.bench_options import load_options, read_shape, require_empty
from trtnemo.cli.options import json_option, print_json, set_option, write_text
from trtnemo.cli.progress import count_progress
from trtnemo.errors import UsageError

if TYPE_CHECKING:
    from trtnemo.bench.compare import Comparison

CANNOT_TELL = 9


def _options(function: Any) -> Any:
    for option in (
        json_option,
        click.option("--markdown", type=click.Path(path_type=Path), help="Write a summary for a pull request."),
        click.option("--gate-file", type=click.Path(path_type=Path), help="Thresholds by metric, YAML."),
        load_options,
        click.option("--keep", type=click.Path(path_type=Path), help="Directory that keeps the runs taken now."),
        click.option("--pairs", type=click.IntRange(5), default=38, show_default=True, help="Pairs of runs taken now."),
        click.option("--program", help="Command that stands for `trtnemo` where the second is served."),
        click.option("--base-program", help="The same where the first is served: another checkout's, say."),
        set_option,
        click.option("--recipe", help="Take runs now: serve this recipe twice, by both programs, --set in the second."),
        click.option("--urls", nargs=2, metavar="BEFORE AFTER", help="Take runs now: of two servers that run already."),
        click.argument("after", required=False, type=click.Path(path_type=Path)),
        click.argument("before", required=False, type=click.Path(path_type=Path)),
    ):
        function = option(function)
    return function


@click.command()
@_options
@click.pass_context
def compare(context: click.Context, /, **words: Any) -> None:
    """Compare runs of two servers, stored or taken now in turn.

    BEFORE and AFTER are directories of runs, five at least in each. With --recipe or --urls runs are taken now, of one
    server and the other in turn, both up all the while. Bounds are of a bootstrap over runs.
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
    from trtnemo.bench.compare import compare as compare_runs
    from trtnemo.bench.gate_file import GateFile
    from trtnemo.bench.markdown import outcome, render_markdown
    from trtnemo.bench.pairs import AFTER, BEFORE, read_summaries

    as_json, markdown, gate_file = (words.pop(name) for name in ("as_json", "markdown", "gate_file"))
    if markdown is not None:
        write_text(markdown, "")  # what cannot be written is told before minutes of measuring
    thresholds = GateFile() if gate_file is None else GateFile.load(gate_file)
    before, after = words["before"], words["after"]
    takes = [words[name] for name in ("recipe", "urls") if words[name] is not None]
    if len(takes) + (after is not None) != 1 or (takes and before is not None):
        raise UsageError("give two directories of runs, or --recipe, or --urls")
    if not takes:
        first, second = read_summaries(before, after)
        found = compare_runs(first, second, thresholds, paired=False)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            directory = words["keep"] or Path(temporary)
            _take_runs(words, directory)
            first, second = read_summaries(directory / BEFORE, directory / AFTER)
            found = compare_runs(first, second, thresholds, paired=True)
    text = render_markdown(found, thresholds)
    if markdown is not None:
        write_text(markdown, text)
    if as_json:
        print_json([_as_json(item) for item in found])
    else:
        click.echo(text)
    if gates:
        context.exit({"regression": 1, "cannot tell": CANNOT_TELL, "fine": 0}[outcome(found).value])


def _take_runs(words: dict[str, Any], directory: Path) -> None:
    from trtnemo.bench.host import Place
    from trtnemo.bench.pairs import measure_pairs

    require_empty(directory, "--keep")
    names = ("before", "after", "recipe", "urls", "settings", "base_program", "program", "pairs", "keep")
    chosen = {name: words[name] for name in names}
    shape = read_shape({name: value for name, value in words.items() if name not in names})
    if chosen["urls"] is not None:
        if any(chosen[name] for name in ("settings", "base_program", "program")):
            raise UsageError("--set and programs are for servers that are started here; --urls run already")
        places = [Place(url=url) for url in chosen["urls"]]
    else:
        places = [
            Place(recipe=chosen["recipe"], settings=settings, program=tuple(shlex.split(program or "")))
            for settings, program in (((), chosen["base_program"]), (chosen["settings"], chosen["program"]))
        ]
    with count_progress("runs") as report:
        measure_pairs(places[0], places[1], shape, chosen["pairs"], directory, report)


def _as_json(item: Comparison) -> dict[str, Any]:
    return {**item.__dict__, "verdict": item.verdict.value if item.verdict else None}
