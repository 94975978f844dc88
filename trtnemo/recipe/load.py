"""From a name to a validated recipe, or to one error that names file, line and key."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from trtnemo.errors import RecipeError, RenamedKeyWarning
from trtnemo.recipe.detected import GPU, detect_recipe
from trtnemo.recipe.nearest import suggestion
from trtnemo.recipe.override import apply_overrides
from trtnemo.recipe.renamed import find_renamed, with_new_names
from trtnemo.recipe.runtimes import ADAPTER, RECIPE_TYPES, AnyRecipe, ExternalRecipe
from trtnemo.recipe.source import KeyPath, RecipeSource, locate, read
from trtnemo.validation import Fault, first_fault


def load_recipe(name: str | Path, settings: Iterable[str] = (), checkpoint: str | None = None) -> AnyRecipe:
    """Return the recipe of that name or path with `--set` values applied, and with `checkpoint` in place of its own.

    `gpu` is our CUDA runtime on the GPU of this machine.

    Our own server announces another checkpoint under that checkpoint's name, unless `--set` names it. Raises
    RecipeError with file, line, key and the nearest valid key; UsageError on a bad `--set`.
    """
    source = detect_recipe() if str(name) == GPU and not Path(GPU).is_file() else read(locate(str(name)))
    written = source.data.get("checkpoint")
    changed = apply_overrides(source, settings)
    if checkpoint is not None:
        changed.data["checkpoint"] = checkpoint
    if changed.lines.get(("served_model_names",)):  # its line in the file; 0 for one of --set
        _drop_names_of(written, changed)
    return validate(changed)


def _drop_names_of(written: object, source: RecipeSource) -> None:
    """Leave out the names that a recipe gives to its own checkpoint where another one takes its place."""
    given, runtime = source.data.get("checkpoint"), RECIPE_TYPES.get(str(source.data.get("runtime")))
    is_ours = runtime is not None and not issubclass(runtime, ExternalRecipe)  # others: names belong to the deployment
    if is_ours and Path(str(given)).name != Path(str(written)).name:
        del source.data["served_model_names"]


def load_recorded(data: Mapping[str, Any]) -> AnyRecipe:
    """Return the recipe that an engine or bundle recorded, by this version or the last; raises ValidationError."""
    return ADAPTER.validate_python(with_new_names(data))


def load_changed(data: Mapping[str, Any], settings: Iterable[str]) -> AnyRecipe:
    """Return the recipe that an engine recorded, with `--set` values applied; raises RecipeError, UsageError."""
    return validate(apply_overrides(RecipeSource("--set", json.loads(json.dumps(with_new_names(data))), {}), settings))


def validate(source: RecipeSource) -> AnyRecipe:
    """Return the typed recipe; the first thing wrong with it is raised as RecipeError.

    Warns of keys under their old names.
    """
    source = _with_new_names(source)
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


def _with_new_names(source: RecipeSource) -> RecipeSource:
    lines = dict(source.lines)
    for section, old, new in find_renamed(source.data):
        where = source.position((section, old))
        message = f"{where}: '{section}.{old}' is now called '{section}.{new}'; the next release drops the old name"
        warnings.warn(message, RenamedKeyWarning, stacklevel=4)
        lines[section, new] = lines.pop((section, old), 0)
    return RecipeSource(source.name, with_new_names(source.data), lines)


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
