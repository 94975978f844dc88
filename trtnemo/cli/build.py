"""`trtnemo build`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trtnemo.cli.options import default_engine, json_option, print_json, recipe_stem, set_option
from trtnemo.cli.progress import byte_progress

if TYPE_CHECKING:
    from trtnemo.engine import Manifest


@click.command()
@click.option("--recipe", default="tiny", show_default=True, help="Name or path of a recipe.")
@click.option("--checkpoint", help="Directory or hub id, instead of the recipe's checkpoint.")
@click.option("--output", type=click.Path(path_type=Path), help="Engine directory.  [default: engines/RECIPE]")
@click.option("--force", is_flag=True, help="Replace an engine that stands at --output.")
@set_option
@json_option
def build(
    recipe: str, checkpoint: str | None, output: Path | None, force: bool, settings: tuple[str, ...], as_json: bool
) -> None:
    """Build the engine of a recipe.

    The checkpoint is checked first. The engine appears whole or not at all.
    """
    started = time.monotonic()
    directory = output or default_engine(recipe)
    manifest = build_from_recipe(recipe, checkpoint, directory, force, settings)
    seconds = time.monotonic() - started
    if as_json:
        print_json({"engine": str(directory), "seconds": round(seconds, 3), **manifest.model_dump(mode="json")})
        return
    click.echo(
        f"Built {directory} in {seconds:.1f} s from {manifest.checkpoint.name}: "
        f"{manifest.checkpoint.tensors} tensors, {manifest.checkpoint.bytes:,} bytes"
    )


def build_from_recipe(
    recipe: str, checkpoint: str | None, output: Path, force: bool, settings: tuple[str, ...]
) -> Manifest:
    """Load a recipe and build its engine; raises TrtnemoError."""
    from trtnemo.engine import build_engine
    from trtnemo.recipe import load_recipe

    loaded = load_recipe(recipe, settings)
    if checkpoint is not None:
        loaded = loaded.model_copy(update={"checkpoint": checkpoint})
    with byte_progress() as report:
        return build_engine(loaded, recipe_stem(recipe), output, force=force, progress=report)
