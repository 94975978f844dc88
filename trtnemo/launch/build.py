"""From a recipe's name to its engine, or to the bundle that starts an external server."""

from __future__ import annotations

from pathlib import Path

from trtnemo.backends.runtime import Progress
from trtnemo.engine.build import build_engine
from trtnemo.engine.manifest import AnyManifest
from trtnemo.launch.bundle.bundle import build_bundle
from trtnemo.recipe import ExternalRecipe, load_recipe
from trtnemo.recipe.source import recipe_stem


def build_from_recipe(
    recipe: str,
    output: Path,
    *,
    settings: tuple[str, ...] = (),
    checkpoint: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> AnyManifest:
    """Write what a recipe means to `output`, atomically, and return its manifest; raises TrtnemoError.

    `checkpoint` takes the place of the recipe's own. `progress` is called with an engine's bytes.
    """
    loaded, name = load_recipe(recipe, settings, checkpoint), recipe_stem(recipe)
    if isinstance(loaded, ExternalRecipe):
        return build_bundle(loaded, name, output, force=force)
    return build_engine(loaded, name, output, force=force, progress=progress)
