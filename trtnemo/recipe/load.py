"""From a name to a validated recipe, or to one error that names file, line and key."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from trtnemo.errors import RecipeError
from trtnemo.recipe.nearest import suggestion
from trtnemo.recipe.override import apply_overrides
from trtnemo.recipe.runtimes import ADAPTER, RECIPE_TYPES, AnyRecipe, ExternalRecipe
from trtnemo.recipe.source import KeyPath, RecipeSource, locate, read
from trtnemo.validation import Fault, first_fault


def load_recipe(name: str | Path, settings: Iterable[str] = ()) -> AnyRecipe:
    """Return the recipe of that name or path with `--set` values applied.

    Raises RecipeError with file, line, key and the nearest valid key; UsageError on a bad `--set`.
    """
    source = read(locate(str(name)))
    return validate(apply_overrides(source, settings))


def validate(source: RecipeSource) -> AnyRecipe:
    """Return the typed recipe; the first thing wrong with it is raised as RecipeError."""
    try:
        # Through JSON, because strict JSON mode takes lists for tuples yet never "8" for 8.
        text = json.dumps(source.data, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"holds a value that has no JSON form: {error}", where=source.name) from None
    try:
        recipe = ADAPTER.validate_json(text, strict=True)
    except ValidationError as error:
        raise _explain(error, source) from None
    return _with_served_name(recipe)


def _with_served_name(recipe: AnyRecipe) -> AnyRecipe:
    if recipe.served_model_names or isinstance(recipe, ExternalRecipe):
        return recipe  # other servers name their model themselves
    return recipe.model_copy(update={"served_model_names": (Path(recipe.checkpoint).name,)})


def _explain(error: ValidationError, source: RecipeSource) -> RecipeError:
    fault = first_fault(error)
    path: KeyPath = fault.path
    if fault.kind in ("union_tag_invalid", "union_tag_not_found"):
        path = ("runtime",)
    elif path and path[0] in RECIPE_TYPES:
        path = path[1:]
    return RecipeError(_message(fault, path, source), where=source.position(path), remedy=None)


def _message(fault: Fault, path: KeyPath, source: RecipeSource) -> str:
    kind, key = fault.kind, ".".join(str(part) for part in path)
    if fault.is_unknown_key:
        valid = _valid_keys(path[:-1], source)
        return f"unknown key '{key}'{suggestion(str(path[-1]), valid)} (valid here: {', '.join(valid)})"
    if kind == "union_tag_not_found":
        return f"the key 'runtime' is missing (one of: {', '.join(RECIPE_TYPES)})"
    if kind == "union_tag_invalid":
        given = str(source.data.get("runtime"))
        return f"runtime '{given}' is not one of: {', '.join(RECIPE_TYPES)}{suggestion(given, RECIPE_TYPES)}"
    if fault.is_ours:  # our own words name what they mean; the whole input may hold a secret
        return f"'{key}' {fault.message}"
    return f"'{key}' {fault.message}, not {fault.given!r}"


def _valid_keys(path: KeyPath, source: RecipeSource) -> list[str]:
    model: Any = RECIPE_TYPES[source.data["runtime"]]
    for part in path:
        annotation = model.model_fields[str(part)].annotation
        candidates = (annotation, *get_args(annotation))
        model = next((item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)), None)
        if model is None:
            return []
    return sorted(model.model_fields)
