"""Neutral fields of a recipe as each server's own options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from trtnemo.errors import RecipeError
from trtnemo.launch.servers.invocation import PLUGIN_OPTION
from trtnemo.launch.servers.surface import ServerName, Surface
from trtnemo.recipe import SglangRecipe, TrtllmRecipe, VllmRecipe

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


def neutral_options(
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


def _spelled(server: ServerName, field: str, value: Any) -> Any:
    if field == "served_model_names":
        refuse_dashes(field, *value)
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


def refuse_dashes(field: str, *values: str) -> None:
    """Raise RecipeError for a word that the server would read as an option of its own."""
    for value in values:
        if value.startswith("-"):
            raise RecipeError(f"'{field}' {value!r} begins with a dash: the server would read it as an option")
