"""From a recipe to the server start that it means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.findings import Finding
from trtnemo.launch.native import native_options
from trtnemo.launch.neutral import ExternalRecipe, neutral_options, refuse_dashes
from trtnemo.launch.options.option_value import check_data
from trtnemo.launch.servers.invocation import Container, Invocation
from trtnemo.launch.servers.surface import ServerName, Surface, choose_surface
from trtnemo.recipe import AnyRecipe, SglangRecipe, TrtllmRecipe, VllmRecipe
from trtnemo.recipe.external import ExternalSection

_RECIPE = "the recipe"


def external_section(recipe: ExternalRecipe) -> ExternalSection:
    """Return the part of a recipe that is in its server's own words."""
    section: ExternalSection = getattr(recipe, recipe.runtime)
    return section


def is_external(recipe: AnyRecipe) -> bool:
    """Return whether a server that is not ours runs the recipe."""
    return isinstance(recipe, (TrtllmRecipe, VllmRecipe, SglangRecipe))


def to_invocation(recipe: AnyRecipe) -> Invocation:
    """Return the start that a recipe means; only fields that it gives become options.

    Raises RecipeError where a neutral field and the server's own section disagree, or a field has no equal there.
    """
    if not isinstance(recipe, (TrtllmRecipe, VllmRecipe, SglangRecipe)):
        raise RecipeError(f"runtime '{recipe.runtime}' is our own: there is no external server to start")
    section, server = external_section(recipe), recipe.runtime
    if "\\u0000" in recipe.model_dump_json():
        raise RecipeError("holds a NUL character, which no command line can carry", where=_RECIPE)
    if not recipe.checkpoint.strip():
        raise RecipeError("'checkpoint' has no name", where=_RECIPE, remedy="Give a directory or a hub id")
    if recipe.server.port == 0:
        raise RecipeError(
            "'server.port' 0 lets the system choose, which no external server tells us",
            where=_RECIPE,
            remedy="Give a port",
        )
    refuse_dashes("checkpoint", recipe.checkpoint)
    surface = choose_surface(server, section.version).surface
    options, file_values = neutral_options(recipe, server, surface)
    findings = _check_neutral(surface, options)
    native, problems = native_options(surface, section.args)
    _require_agreement(options, native, server)
    options.update(native)
    llm_args = _merge_file(recipe.trtllm.llm_args, file_values) if isinstance(recipe, TrtllmRecipe) else None
    return Invocation(
        server=server,
        version=section.version,
        model=recipe.checkpoint,
        options=options,
        llm_args=llm_args,
        env=dict(section.env),
        container=_container(recipe, section),
        findings=(*findings, *problems),
    )


def _check_neutral(surface: Surface, options: Mapping[str, Any]) -> list[Finding]:
    known = ((surface.find(name), value) for name, value in options.items())
    return [finding for option, value in known if option for finding in check_data(surface, option, value)]


def _require_agreement(options: dict[str, Any], native: dict[str, Any], server: ServerName) -> None:
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


def _merge_file(llm_args: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Lay neutral fields into the YAML content; raises RecipeError where they disagree."""
    merged = json.loads(json.dumps(llm_args))
    for dotted, value in values.items():
        *parents, last = dotted.split(".")
        target = merged
        for parent in parents:
            target = target.setdefault(parent, {})
        if not isinstance(target, dict) or target.get(last, value) != value:
            written = target.get(last) if isinstance(target, dict) else target
            raise RecipeError(
                f"says {value!r} in a neutral field and {written!r} for {dotted} under 'trtllm.llm_args'",
                where=_RECIPE,
                remedy="Say it once",
            )
        target[last] = value
    result: dict[str, Any] = merged
    return result


def _container(recipe: ExternalRecipe, section: ExternalSection) -> Container | None:
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
