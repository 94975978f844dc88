"""Spellings that several servers share."""

from __future__ import annotations

from collections.abc import Sequence

from trtnemo.errors import RecipeError


def refuse_dashes(field: str, *values: str) -> None:
    """Raise RecipeError for a word that the server would read as an option of its own."""
    for value in values:
        if value.startswith("-"):
            raise RecipeError(f"'{field}' {value!r} begins with a dash: the server would read it as an option")


def one_name(field: str, names: Sequence[str]) -> str:
    """Return the one name that a server answers to; raises RecipeError where there are more."""
    if len(names) > 1:
        raise RecipeError(f"'{field}' names {len(names)} models; this server answers to one", remedy="Name one")
    return names[0]
