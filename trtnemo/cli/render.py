"""`trtnemo render`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trtnemo.cli.options import set_option

NODE_SIZES = {"gb200": 4, "gb300": 4, "dgx-spark": 1}


@click.command()
@click.option("--recipe", required=True, help="Name or path of a recipe.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["command", "docker", "compose", "slurm", "opencode", "codex", "claude-code", "evaluator"]),
    default="command",
    show_default=True,
    help="What to write.",
)
@click.option(
    "--devices-per-node", type=click.IntRange(1), help="GPUs of one Slurm node.  [default: by hardware, else 8]"
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write, instead of stdout.")
@set_option
def render(
    recipe: str, form: Any, devices_per_node: int | None, output: Path | None, settings: tuple[str, ...]
) -> None:
    """Write a recipe as a command, for Docker, Compose or Slurm, or for a client.

    Clients are written for any recipe, commands for those of external servers. The same recipe always gives the same
    text. Secrets are named, never written.
    """
    from trtnemo.errors import UsageError
    from trtnemo.launch.bundle.bundle import require_accepted
    from trtnemo.launch.render import render as render_form
    from trtnemo.launch.render import start_for
    from trtnemo.recipe import load_recipe
    from trtnemo.recipe.source import recipe_stem

    loaded = load_recipe(recipe, settings)
    invocation = start_for(form, loaded)
    if invocation is not None:
        require_accepted(invocation, loaded)
    node = devices_per_node or NODE_SIZES.get(loaded.hardware.name, 8)
    text = render_form(form, recipe_stem(recipe), loaded, invocation, node)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(output)) from None
