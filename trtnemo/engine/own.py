"""What our own runtimes honour of a recipe, checked before anything is built."""

from __future__ import annotations

from trtnemo.backends.runtime import find_runtime
from trtnemo.errors import MachineError, RecipeError
from trtnemo.recipe import AnyRecipe, OwnRecipe


def require_own(recipe: AnyRecipe) -> OwnRecipe:
    """Return the recipe if one of our own runtimes honours every field; raises MachineError or RecipeError."""
    if not isinstance(recipe, OwnRecipe):
        raise MachineError(
            f"this version builds no engine for runtime '{recipe.runtime}'",
            remedy="`trtnemo doctor` lists what works here",
        )
    name, dtype = recipe.runtime, recipe.kv_cache.dtype
    runtime = find_runtime(name)
    if dtype not in runtime.cache_types:
        reason = runtime.cache_refusals.get(dtype, f"runtime '{name}' does not do that yet")
        raise RecipeError(f"'kv_cache.dtype' asks for {dtype}: {reason}", remedy="Leave it at its default")
    if any(size > 1 for size in recipe.parallel.model_dump().values()):
        raise RecipeError(
            f"'parallel' asks for what runtime '{name}' does not do yet", remedy="Leave it at its default"
        )
    return recipe


def check_own(recipe: AnyRecipe) -> tuple[str, ...]:
    """Return what was checked, a sentence each; raises RecipeError or MachineError for the first that cannot work."""
    own = require_own(recipe)
    checked = find_runtime(own.runtime).check(own)
    return (f"runtime '{own.runtime}' honours every field of the recipe", *checked)
