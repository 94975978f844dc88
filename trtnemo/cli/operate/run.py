"""`trtnemo run`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from trtnemo.cli.options import read_path, set_option
from trtnemo.errors import TrtnemoError, UsageError

if TYPE_CHECKING:
    from trtnemo.launch.chosen import Chosen


_DASHED, _QUOTED = "A question that begins with a dash goes last, after --", "Put the question in quotes"


class _Asking(click.Command):
    """Says of words that look like options or arguments how they become a question."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(f"{error.format_message()} {_DASHED}.", ctx) from None
        except click.UsageError as error:
            if "unexpected extra" not in error.message:
                raise
            raise click.UsageError(f"{error.message}. {_QUOTED}.", ctx) from None


@click.command(cls=_Asking)
@click.argument("model")
@click.argument("question", required=False)
@click.option("--revision", help="Hub revision: branch, tag or commit.")
@click.option("--thinking/--no-thinking", default=True, show_default=True, help="Whether the model thinks first.")
@click.option("--max-tokens", type=click.IntRange(1), help="Longest answer, in tokens.")
@click.option(
    "--prefix-dir",
    type=click.Path(),
    callback=read_path,
    help="Directory of states of long prompts: the next run with the same beginning goes on from there. On a CPU.",
)
@click.option("--dry-run", is_flag=True, help="Say what would run, how fast at best, and whether it fits; then end.")
@set_option
def run(
    model: str,
    question: str | None,
    revision: str | None,
    thinking: bool,
    max_tokens: int | None,
    prefix_dir: str | None,
    dry_run: bool,
    settings: tuple[str, ...],
) -> None:
    """Run a model on this machine and ask it.

    MODEL is a hub id, a directory, a recipe or `tiny`. Chooses a GPU if one fits, else the CPU, and says why. Says
    whether memory holds the model, and how fast it can be at best here, before anything is downloaded. Then downloads
    and audits what is missing, and builds the engine once, into the cache (`trtnemo cache`).

    Answers QUESTION. Without one it talks at the terminal, or answers the lines of stdin (as a QUESTION of - does).
    The answer goes to stdout. All else goes to stderr, what the model thinks before it answers too.
    """
    from trtnemo.cli.operate.run_engine import engine_of
    from trtnemo.endpoint import served_models, serving
    from trtnemo.launch.asked import asked_model
    from trtnemo.launch.chosen import choose, names_recipe
    from trtnemo.native import choose_kernels, find_native
    from trtnemo.recipe.placed import placed_settings

    if question is not None and not question.strip():
        raise UsageError("the question is empty", remedy="Give one, or leave it out to talk")
    if note := "" if names_recipe(model) else asked_model(model, revision).note:
        _tell(note)
    chosen = choose(model, settings, revision)
    if prefix_dir is not None and chosen.recipe.runtime != "cpu":
        raise UsageError(f"--prefix-dir is for runtime 'cpu', and this model would run on '{chosen.recipe.runtime}'")
    if chosen.recipe.runtime == "cpu" and find_native() is not None:
        choose_kernels()  # refused now, and not by a process that the engine is handed to
    _tell_choice(chosen)
    if dry_run:
        return
    engine = engine_of(chosen)
    began = time.monotonic()
    states = [] if prefix_dir is None else ["--prefix-dir", prefix_dir]
    with serving(["--engine", str(engine), *states, *placed_settings(chosen.recipe)]) as base:
        _tell(f"ready in {time.monotonic() - began:.1f} s{_how_read(chosen)}")
        _talk(base, served_models(base)[0], question, thinking, max_tokens)


def _how_read(chosen: Chosen) -> str:
    from trtnemo.recipe import CpuRecipe

    is_lazy = isinstance(chosen.recipe, CpuRecipe) and not chosen.recipe.cpu.lock_memory
    return "; weights are read from disk as they are first used" if is_lazy else ""


def _tell_choice(chosen: Chosen) -> None:
    _tell(f"runtime {chosen.recipe.runtime}, recipe {chosen.name}: {chosen.why}")
    _tell(chosen.verdict.sentence)
    try:
        from trtnemo.bench.predict import plan_of

        speeds = plan_of(chosen.recipe).decode
    except TrtnemoError:  # a bound that is not known keeps nothing from running
        return
    if speeds:
        one, rate = speeds[0], speeds[0].tokens_per_second
        shown = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
        _tell(f"at best {shown} tokens/s for one answer here, bound by {one.bound} as measured just now")


def _talk(base: str, name: str, question: str | None, thinking: bool, max_tokens: int | None) -> None:
    from trtnemo.chat.conversation import Conversation
    from trtnemo.chat.stream import ChatEndpoint
    from trtnemo.chat.talk import answer_all, converse, script_lines

    options = {} if max_tokens is None else {"max_tokens": max_tokens}
    conversation = Conversation(ChatEndpoint(base), name, "on" if thinking else "off", None, options)
    if question not in (None, "-"):
        answer_all(conversation, [str(question)])
    elif question is None and sys.stdin.isatty() and sys.stderr.isatty():
        converse(conversation, "this machine", keep_lines=True)
    elif not answer_all(conversation, script_lines()):
        raise UsageError("nothing was asked: stdin held no question", remedy="Give one behind the model, in quotes")


def _tell(text: str) -> None:
    click.echo(text, err=True)
