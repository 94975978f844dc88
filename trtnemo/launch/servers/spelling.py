"""Spellings that several servers share."""

from __future__ import annotations

from collections.abc import Sequence

from trtnemo.errors import RecipeError


def spellings_of(key: str) -> tuple[str, ...]:
    """Return how the option that a recipe's key names may be written on a command line."""
    return f"--{key}", f"--{key.replace('_', '-')}", f"--{key.replace('-', '_')}", f"-{key}"


def one_name(field: str, names: Sequence[str]) -> str:
    """Return the one name that a server answers to; raises RecipeError where there are more."""
    if len(names) > 1:
        raise RecipeError(f"'{field}' names {len(names)} models; this server answers to one", remedy="Name one")
    return names[0]
