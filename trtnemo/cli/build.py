"""`trtnemo build`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trtnemo.cli.options import default_engine, json_option, print_json, recipe_stem, set_option
from trtnemo.cli.progress import byte_progress

if TYPE_CHECKING:
    from trtnemo.engine.manifest import AnyManifest


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

    For our own runtimes that is a directory of weights and graph; for trtllm, vLLM and SGLang a sealed bundle: audited
    checkpoint reference, rendered files, command and environment. The recipe and the checkpoint are checked first. The
    engine appears whole or not at all.
    """
    started = time.monotonic()
    directory = output or default_engine(recipe)
    manifest = build_from_recipe(recipe, checkpoint, directory, force, settings)
    seconds = time.monotonic() - started
    if as_json:
        print_json({"engine": str(directory), "seconds": round(seconds, 3), **manifest.model_dump(mode="json")})
    else:
        click.echo(f"Built {directory} in {seconds:.1f} s {_summary(manifest)}")


def _summary(manifest: AnyManifest) -> str:
    from trtnemo.engine.manifest import Manifest

    checkpoint = manifest.checkpoint
    if isinstance(manifest, Manifest):
        record = manifest.checkpoint
        return f"from {record.name}: {record.tensors} tensors, {record.bytes:,} bytes"
    reference = manifest.checkpoint
    audited = "audited" if reference.audited else f"not audited: {reference.reason}"
    warnings = sum(finding["severity"] == "warning" for finding in manifest.findings)
    told = f"; {warnings} known issue{'s' if warnings > 1 else ''}: see `trtnemo check`" if warnings else ""
    return f"for {manifest.checked_against}, checkpoint {checkpoint.name} ({audited}){told}"


def build_from_recipe(
    recipe: str, checkpoint: str | None, output: Path, force: bool, settings: tuple[str, ...]
) -> AnyManifest:
    """Load a recipe and build its engine or bundle; raises TrtnemoError."""
    from trtnemo.engine import build_engine
    from trtnemo.recipe import load_recipe

    loaded = load_recipe(recipe, settings)
    if checkpoint is not None:
        loaded = loaded.model_copy(update={"checkpoint": checkpoint})
    if loaded.runtime in ("trtllm", "vllm", "sglang"):
        from trtnemo.launch.bundle import build_bundle

        return build_bundle(loaded, recipe_stem(recipe), output, force=force)
    with byte_progress() as report:
        return build_engine(loaded, recipe_stem(recipe), output, force=force, progress=report)
