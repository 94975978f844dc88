"""Neutral fields of a recipe as a server's own options and keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from trtnemo.errors import RecipeError
from trtnemo.launch.servers.server import Server
from trtnemo.launch.servers.surface import Surface
from trtnemo.recipe import ExternalRecipe

_NEVER_OPTIONS = {
    "runtime",
    "description",
    "checkpoint",
    "hardware",
    "sampling",
    "cluster",
}  # fields that no option says


def neutral_options(recipe: ExternalRecipe, server: Server, surface: Surface) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (options by longest name, values for the server's file by dotted key)."""
    options: dict[str, Any] = {}
    file_values: dict[str, Any] = {}
    for name, value in _translated(recipe, server, surface):
        if not name.startswith("--"):
            file_values[name] = value
            continue
        option = surface.find(name)
        if option is None:
            raise RecipeError(f"{surface.title} has no option {name}")
        options[option.name] = value
        options |= server.implied(option.name, value)
    return options, file_values


def _translated(recipe: ExternalRecipe, server: Server, surface: Surface) -> Iterator[tuple[str, Any]]:
    """Yield (option, or dotted key of the file; value) of every field that the recipe gives."""
    for field, value in given_fields(recipe):
        name = server.neutral.get(field)
        if name is None:
            raise RecipeError(
                f"'{field}' has no equal in {surface.title}",
                remedy=f"Leave it out, or use the server's own option under '{recipe.runtime}.args'",
            )
        if name:
            yield name, server.spelled(field, value)
        else:
            yield from server.special(field, value, surface).items()


def given_fields(recipe: ExternalRecipe) -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of every neutral field that the recipe itself gives, in the schema's order."""
    for field in type(recipe).model_fields:
        value = getattr(recipe, field)
        is_neutral = field not in _NEVER_OPTIONS and field != recipe.runtime
        if field not in recipe.model_fields_set or not is_neutral or value is None:
            continue
        if not isinstance(value, BaseModel):
            yield field, value
            continue
        for name in type(value).model_fields:
            if name in value.model_fields_set and getattr(value, name) is not None:
                yield f"{field}.{name}", getattr(value, name)
