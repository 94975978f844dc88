"""What a recipe says of the machine that runs an engine, and not of the engine: it may change without a build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trtnemo.recipe.runtimes import AnyRecipe, CpuRecipe, CpuSection

_FIELDS = ("threads", "lock_memory", "huge_pages")
_DEFAULTS = CpuSection().model_dump(include=set(_FIELDS))
PLACED = tuple(f"cpu.{field}=" for field in _FIELDS)  # how `--set` begins


def placed_of(recipe: AnyRecipe) -> dict[str, Any]:
    """Return these values of a recipe by their names in section `cpu`; none for another runtime's."""
    return recipe.cpu.model_dump(include=set(_FIELDS)) if isinstance(recipe, CpuRecipe) else {}


def with_placed(recipe: AnyRecipe, placed: Mapping[str, Any]) -> AnyRecipe:
    """Return a recipe with other such values, which pass through the types again; raises ValidationError."""
    if not isinstance(recipe, CpuRecipe):
        return recipe
    section = CpuSection.model_validate({**recipe.cpu.model_dump(), **placed})
    return recipe.model_copy(update={"cpu": section})


def without_placed(recipe: AnyRecipe) -> AnyRecipe:
    """Return a recipe with the defaults in their place: what an engine is built from, wherever it will run."""
    return with_placed(recipe, _DEFAULTS)


def placed_settings(recipe: AnyRecipe) -> list[str]:
    """Return the words of `--set` that say these values to `trtnemo serve`."""
    given = {name: value for name, value in placed_of(recipe).items() if value != _DEFAULTS[name]}
    return [word for name, value in given.items() for word in ("--set", f"cpu.{name}={str(value).lower()}")]
