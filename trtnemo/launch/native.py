"""Options that a recipe gives in its server's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.launch.servers.spelling import refuse_dashes
from trtnemo.launch.servers.surface import SECRET_OPTIONS, Option, Surface
from trtnemo.recipe.external import is_secret


def native_options(surface: Surface, args: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (options by longest name, those of them that the record has not).

    An option without a record stays as it is written: where the record is another version's, the server may have it.
    Raises RecipeError for a secret, and for a word that would be read as another option.
    """
    options: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for key, value in args.items():
        option = _find(surface, key)
        name = option.name if option else f"--{key}"
        if isinstance(value, (str, list)) and (name in SECRET_OPTIONS or (option is None and is_secret(key))):
            example = f"{surface.dialect.variable_prefixes[0]}API_KEY"
            raise RecipeError(
                f"'{surface.server}.args' holds a secret ({name})",
                remedy=f"Name its variable under '{surface.server}.env' with null, such as {example}",
            )
        if isinstance(value, list):
            refuse_dashes(name, *(item for item in value if isinstance(item, str)))
        if option is None:
            unknown[name] = value
        if value is not None:
            options[name] = value
    return options, unknown


def _find(surface: Surface, key: str) -> Option | None:
    names = (f"--{key}", f"--{key.replace('_', '-')}", f"--{key.replace('-', '_')}", f"-{key}")
    return next((option for name in names if (option := surface.find(name)) is not None), None)
