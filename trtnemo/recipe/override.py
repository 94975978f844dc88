"""`--set a.b=c`: one value of a recipe changed from the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from trtnemo.errors import RecipeError, UsageError
from trtnemo.recipe.source import RecipeSource, parse


def apply_overrides(source: RecipeSource, settings: Iterable[str]) -> RecipeSource:
    """Return the recipe with every `key.path=value` applied in order.

    A value is read as YAML, so that numbers, lists and null work. Raises UsageError on a bad form.
    """
    for setting in settings:
        path, separator, text = setting.partition("=")
        keys = tuple(path.split("."))
        if not separator or not all(keys):
            raise UsageError(f"--set {setting!r} is not of the form key.path=value")
        _assign(source, keys, _value(setting, text))
    return source


def _value(setting: str, text: str) -> Any:
    try:
        return parse(f"value: {text}" if text.strip() else "value: null", "--set").data["value"]
    except (RecipeError, yaml.YAMLError) as error:
        raise UsageError(f"--set {setting!r}: {error}") from None


def _assign(source: RecipeSource, keys: tuple[str, ...], value: Any) -> None:
    target = source.data
    for depth, key in enumerate(keys[:-1], start=1):
        child = target.get(key)
        if child is None:
            child = target[key] = {}
            source.lines[keys[:depth]] = 0
        if not isinstance(child, dict):
            raise UsageError(f"--set {'.'.join(keys)}: '{'.'.join(keys[:depth])}' is not a section")
        target = child
    target[keys[-1]] = value
    source.lines[keys] = 0  # marks "given by --set" for error messages
