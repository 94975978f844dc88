"""From a recipe to the server start that it means. Translating judges nothing: `check.py` does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.launch.neutral import neutral_options
from trtnemo.launch.servers.invocation import Container, Invocation
from trtnemo.launch.servers.registry import find_server
from trtnemo.launch.servers.spelling import spellings_of
from trtnemo.launch.servers.surface import SECRET_OPTIONS, Surface, choose_surface
from trtnemo.recipe import AnyRecipe, ExternalRecipe
from trtnemo.recipe.external import is_secret

_RECIPE = "the recipe"


def to_invocation(recipe: AnyRecipe) -> Invocation:
    """Return the start that a recipe means; only fields that it gives become options.

    Raises RecipeError where a neutral field and the server's own section disagree, or a field has no equal there.
    """
    if not isinstance(recipe, ExternalRecipe):
        raise RecipeError(f"runtime '{recipe.runtime}' is our own: there is no external server to start")
    _require_startable(recipe)
    section, server = recipe.section, find_server(recipe.runtime)
    record = choose_surface(recipe.runtime, section.version)
    options, file_values = neutral_options(recipe, server, record.surface)
    native, unknown = _native_options(record.surface, section.args)
    _require_agreement(options, native, recipe.runtime)
    return server.start(
        record=record,
        model=recipe.checkpoint,
        options={**options, **native},
        llm_args=_file_content(recipe, file_values),
        env=dict(section.env),
        container=_container(recipe),
        unknown=unknown,
    )


def _require_startable(recipe: ExternalRecipe) -> None:
    """Raise RecipeError for what no command line can say."""
    if "\\u0000" in recipe.model_dump_json():
        raise RecipeError("holds a NUL character, which no command line can carry", where=_RECIPE)
    if not recipe.checkpoint.strip():
        raise RecipeError("'checkpoint' has no name", where=_RECIPE, remedy="Give a directory or a hub id")
    if recipe.server.port == 0:
        raise RecipeError(
            "'server.port' 0 lets the system choose, which no external server reports",
            where=_RECIPE,
            remedy="Give a port",
        )
    for field, word in _words(recipe):
        if word.startswith("-"):
            raise RecipeError(f"'{field}' {word!r} begins with a dash: the server would read it as an option")


def _words(recipe: ExternalRecipe) -> Iterator[tuple[str, str]]:
    """Yield (field, word) of what stands alone on a command line: the model's name, and items of lists."""
    yield "checkpoint", recipe.checkpoint
    given = {f"{recipe.runtime}.args.{key}": value for key, value in recipe.section.args.items()}
    for field, value in {"served_model_names": recipe.served_model_names, **given}.items():
        if isinstance(value, list | tuple):
            yield from ((field, item) for item in value if isinstance(item, str))


def _native_options(surface: Surface, args: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the server's own options: (by longest name, those of them that the record has not).

    An option without a record stays as it is written: where the record is another version's, the server may have it.
    Raises RecipeError for a secret.
    """
    options: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for key, value in args.items():
        spellings = spellings_of(key)
        option = next((found for name in spellings if (found := surface.find(name)) is not None), None)
        if option is not None and isinstance(value, bool) and not set(spellings).isdisjoint(option.negatives):
            value = not value
        name = option.name if option else f"--{key}"
        if isinstance(value, (str, list)) and (name in SECRET_OPTIONS or (option is None and is_secret(key))):
            example = f"{surface.dialect.variable_prefixes[0]}API_KEY"
            raise RecipeError(
                f"'{surface.server}.args' holds a secret ({name})",
                remedy=f"Name its variable under '{surface.server}.env' with null, such as {example}",
            )
        if option is None:
            unknown[name] = value
        if options.get(name, value) != value:
            raise RecipeError(f"'{surface.server}.args' says {name} twice, with two values", remedy="Say it once")
        if value is not None:
            options[name] = value
    return options, unknown


def _require_agreement(options: dict[str, Any], native: dict[str, Any], server: str) -> None:
    for name, value in native.items():
        given = options.get(name)
        if isinstance(given, dict) and isinstance(value, dict):
            native[name] = _merge(given, value, name)
        elif given is not None and given != value:
            raise RecipeError(
                f"says {given!r} in a neutral field and {value!r} for {name} under '{server}.args'",
                where=_RECIPE,
                remedy="Say it once",
            )


def _merge(given: Mapping[str, Any], value: Mapping[str, Any], name: str) -> dict[str, Any]:
    for key in given.keys() & value.keys():
        if given[key] != value[key]:
            raise RecipeError(
                f"says both {given[key]!r} and {value[key]!r} for {name} {key}", where=_RECIPE, remedy="Say it once"
            )
    return {**given, **value}


def _file_content(recipe: ExternalRecipe, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the server's file with the neutral fields laid in; raises RecipeError where they disagree."""
    content = recipe.section.file_content
    if content is None:
        return None
    merged: dict[str, Any] = json.loads(json.dumps(content))
    for dotted, value in values.items():
        *parents, last = dotted.split(".")
        target: Any = merged
        for parent in parents:
            target = target.setdefault(parent, {})
        if not isinstance(target, dict) or target.get(last, value) != value:
            written = target.get(last) if isinstance(target, dict) else target
            raise RecipeError(
                f"says {value!r} in a neutral field and {written!r} for {dotted} under "
                f"'{recipe.runtime}.{recipe.section.file_key}'",
                where=_RECIPE,
                remedy="Say it once",
            )
        target[last] = value
    return merged


def _container(recipe: ExternalRecipe) -> Container | None:
    section = recipe.section
    if section.image is None:
        return None
    options = section.container
    return Container(
        image=section.image,
        shm_size=options.shm_size,
        ulimits=dict(options.ulimits),
        workdir=options.workdir,
        ports={recipe.server.port: recipe.server.port},
    )
