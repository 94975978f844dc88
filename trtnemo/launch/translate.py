"""From a recipe to the server start that it means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from trtnemo.errors import RecipeError
from trtnemo.launch.arguments import unknown_option
from trtnemo.launch.finding import Finding
from trtnemo.launch.invocation import PLUGIN_OPTION, Container, Invocation
from trtnemo.launch.option_value import check_value
from trtnemo.launch.surface import SECRET_OPTIONS, Option, ServerName, Surface, choose_surface
from trtnemo.recipe import AnyRecipe, SglangRecipe, TrtllmRecipe, VllmRecipe
from trtnemo.recipe.external import ExternalSection

ExternalRecipe = TrtllmRecipe | VllmRecipe | SglangRecipe
PLUGIN_FILE = "super_v3_reasoning_parser.py"
PLUGIN_PARSER = "super_v3"
# The option that a neutral field becomes. A field that a server cannot be told is missing here, and refused.
NEUTRAL: dict[str, dict[str, str]] = {
    "trtllm": {
        "revision": "--hf_revision",
        "served_model_names": "--served_model_name",
        "parallel.tensor": "--tp_size",
        "parallel.expert": "--ep_size",
        "parallel.pipeline": "--pp_size",
        "limits.max_batch_size": "--max_batch_size",
        "limits.max_num_tokens": "--max_num_tokens",
        "limits.max_seq_len": "--max_seq_len",
        "kv_cache.dtype": "",
        "speculation.draft_tokens": "",
        "parsers.reasoning": "--reasoning_parser",
        "parsers.tool": "--tool_parser",
        "server.host": "--host",
        "server.port": "--port",
    },
    "vllm": {
        "revision": "--revision",
        "served_model_names": "--served-model-name",
        "parallel.tensor": "--tensor-parallel-size",
        "parallel.expert": "",
        "parallel.pipeline": "--pipeline-parallel-size",
        "parallel.data": "--data-parallel-size",
        "limits.max_batch_size": "--max-num-seqs",
        "limits.max_num_tokens": "--max-num-batched-tokens",
        "limits.max_seq_len": "--max-model-len",
        "kv_cache.dtype": "--kv-cache-dtype",
        "speculation.draft_tokens": "",
        "parsers.reasoning": "--reasoning-parser",
        "parsers.tool": "--tool-call-parser",
        "server.host": "--host",
        "server.port": "--port",
    },
    "sglang": {
        "revision": "--revision",
        "served_model_names": "--served-model-name",
        "parallel.tensor": "--tp-size",
        "parallel.expert": "--ep-size",
        "parallel.pipeline": "--pp-size",
        "parallel.data": "--dp-size",
        "limits.max_batch_size": "--max-running-requests",
        "limits.max_seq_len": "--context-length",
        "kv_cache.dtype": "--kv-cache-dtype",
        "speculation.draft_tokens": "",
        "parsers.reasoning": "--reasoning-parser",
        "parsers.tool": "--tool-call-parser",
        "server.host": "--host",
        "server.port": "--port",
    },
}
_UNTOLD = {"runtime", "description", "checkpoint", "hardware", "sampling"}  # what no server is told by an option


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
        raise RecipeError("holds a NUL character, which no command line can carry")
    _refuse_dashes("checkpoint", recipe.checkpoint)
    surface = choose_surface(server, section.version).surface
    options, file_values = _neutral_options(recipe, server, surface)
    native, findings = _native_options(surface, section.args)
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
        findings=tuple(findings),
    )


def _neutral_options(
    recipe: ExternalRecipe, server: ServerName, surface: Surface
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (options by longest name, values for the YAML file by dotted key)."""
    options: dict[str, Any] = {}
    file_values: dict[str, Any] = {}
    for field, value in given_fields(recipe):
        name = NEUTRAL[server].get(field)
        if name is None:
            raise RecipeError(
                f"'{field}' has no equal in {surface.title}",
                remedy=f"Leave it out, or use the server's own option under '{server}.args'",
            )
        if name:
            _put(options, surface, name, _spelled(server, field, value))
        else:
            _special(server, field, value, surface, options, file_values)
    return options, file_values


def given_fields(recipe: ExternalRecipe) -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of every neutral field that the recipe itself gives, in the schema's order."""
    for field in type(recipe).model_fields:
        value = getattr(recipe, field)
        if field not in recipe.model_fields_set or field in _UNTOLD or field == recipe.runtime or value is None:
            continue
        if not isinstance(value, BaseModel):
            yield field, value
            continue
        for name in type(value).model_fields:
            if name in value.model_fields_set and getattr(value, name) is not None:
                yield f"{field}.{name}", getattr(value, name)


def _refuse_dashes(field: str, *values: str) -> None:
    """Raise RecipeError for a word that the server would read as an option of its own."""
    for value in values:
        if value.startswith("-"):
            raise RecipeError(f"'{field}' {value!r} begins with a dash: the server would read it as an option")


def _spelled(server: ServerName, field: str, value: Any) -> Any:
    if field == "served_model_names":
        _refuse_dashes(field, *value)
        if server == "vllm":
            return list(value)
        if len(value) > 1:
            raise RecipeError(f"'{field}' names {len(value)} models; this server answers to one", remedy="Name one")
        return value[0]
    if field == "kv_cache.dtype" and server == "sglang" and value == "fp8":
        return "fp8_e4m3"
    return value


def _special(
    server: ServerName, field: str, value: Any, surface: Surface, options: dict[str, Any], file_values: dict[str, Any]
) -> None:
    """Write the fields that are more than one option of one name."""
    if field == "kv_cache.dtype":
        file_values["kv_cache_config.dtype"] = value
    elif field == "parallel.expert":
        if value > 1:
            _put(options, surface, "--enable-expert-parallel", True)
    elif value:  # draft tokens; none is what every server does by itself
        _speculation(server, value, surface, options, file_values)


def _speculation(
    server: ServerName, count: int, surface: Surface, options: dict[str, Any], file_values: dict[str, Any]
) -> None:
    if server == "trtllm":
        length = "num_nextn_predict_layers" if surface.version.startswith("1.3") else "max_draft_len"
        file_values.update({"speculative_config.decoding_type": "MTP", f"speculative_config.{length}": count})
    elif server == "vllm":
        _put(options, surface, "--speculative-config", {"method": "mtp", "num_speculative_tokens": count})
    else:
        for name, value in {
            "--speculative-algorithm": "NEXTN",
            "--speculative-num-steps": count,
            "--speculative-eagle-topk": 1,
            "--speculative-num-draft-tokens": count + 1,
        }.items():
            _put(options, surface, name, value)


def _put(options: dict[str, Any], surface: Surface, name: str, value: Any) -> None:
    option = surface.find(name)
    if option is None:
        raise RecipeError(f"{surface.title} has no option {name}")
    options[option.name] = value
    if option.name == "--reasoning-parser" and value == PLUGIN_PARSER and surface.server == "vllm":
        options[PLUGIN_OPTION] = PLUGIN_FILE
    if option.name == "--tool-call-parser" and surface.server == "vllm":
        options["--enable-auto-tool-choice"] = True


def _native_options(surface: Surface, args: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Return the options of a server's own section, checked one by one."""
    options: dict[str, Any] = {}
    findings: list[Finding] = []
    for key, value in args.items():
        option = _find(surface, key)
        if option is None:
            findings.append(Finding("error", "unknown-option", f"--{key}", *unknown_option(surface, f"--{key}")))
        elif option.name in SECRET_OPTIONS and isinstance(value, (str, list)):
            raise RecipeError(
                f"'{surface.server}.args' holds a secret ({option.name})",
                remedy=f"Name its variable under '{surface.server}.env' with null, such as VLLM_API_KEY",
            )
        elif value is not None:
            options[option.name] = value
            findings.extend(_check_native(surface, option, value))
    return options, findings


def _find(surface: Surface, key: str) -> Option | None:
    names = (f"--{key}", f"--{key.replace('_', '-')}", f"--{key.replace('-', '_')}", f"-{key}")
    return next((option for name in names if (option := surface.find(name)) is not None), None)


def _check_native(surface: Surface, option: Option, value: Any) -> list[Finding]:
    if not option.takes_value:
        if isinstance(value, bool):
            return []
        return [Finding("error", "option-value", option.name, f"is on or off (true, false), not {value!r}")]
    if isinstance(value, bool):
        return [Finding("error", "option-value", option.name, f"takes a value, not {value!r}")]
    items = value if isinstance(value, list) else [value]
    if isinstance(value, list):
        _refuse_dashes(option.name, *(item for item in value if isinstance(item, str)))
    findings = []
    for item in items:
        text = json.dumps(item) if isinstance(item, (dict, list)) else str(item)
        findings.extend(check_value(surface, option, text)[1])
    return findings


def _require_agreement(options: dict[str, Any], native: dict[str, Any], server: ServerName) -> None:
    for name, value in native.items():
        given = options.get(name)
        if isinstance(given, dict) and isinstance(value, dict):
            native[name] = _merge(given, value, name)
        elif given is not None and given != value:
            raise RecipeError(
                f"says {given!r} in a neutral field and {value!r} for {name} under '{server}.args'",
                remedy="Say it once",
            )


def _merge(given: Mapping[str, Any], value: Mapping[str, Any], name: str) -> dict[str, Any]:
    for key in given.keys() & value.keys():
        if given[key] != value[key]:
            raise RecipeError(f"says both {given[key]!r} and {value[key]!r} for {name} {key}", remedy="Say it once")
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
