"""From a pasted command to a recipe."""

from __future__ import annotations

from typing import Any

import yaml

from trtnemo.errors import UsageError
from trtnemo.findings import errors
from trtnemo.launch.options.checking import check_options
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.registry import find_server
from trtnemo.recipe.external import EXTERNAL
from trtnemo.recipe.load import validate
from trtnemo.recipe.source import RecipeSource

_CACHE = "/root/.cache/huggingface"
_AROUND = {"probe-port", "probe-time", "command-one-word", "compose-backslash", "image-starts-it", "compose-key"}
_LEFT_OUT = {
    "unknown-option",
    "line-dropped",
    "not-exported",
    "file-not-read",
    "variable-not-set",
    "broken-line",
}  # findings that become comments
_HARDWARE_NOTE = "# hardware is not in a command: fill it in, for the plan and for Slurm\n"


def recipe_text(invocation: Invocation, description: str) -> str:
    """Return the recipe that means the same start, as YAML with a comment per thing it cannot carry.

    Raises UsageError where the command has values that its server refuses, RecipeError where the result would be no
    recipe.
    """
    found = (*invocation.findings, *check_options(invocation))
    stopping = [finding for finding in errors(found) if finding.rule not in _LEFT_OUT | _AROUND]
    if stopping:
        first = stopping[0]
        raise UsageError(f"{first.subject}: {first.message}", where="the command", remedy=first.remedy or None)
    data = _recipe(invocation, description)
    validate(RecipeSource("the imported recipe", data))
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    return _comments(invocation) + _HARDWARE_NOTE + text


def _recipe(invocation: Invocation, description: str) -> dict[str, Any]:
    data: dict[str, Any] = {
        "runtime": invocation.server,
        "description": description,
        "checkpoint": invocation.model,
    }
    rest = {**invocation.options, **_kept_unknown(invocation)}
    server = find_server(invocation.server)
    for field, name in server.neutral.items():
        option = invocation.surface.find(name) if name.startswith("--") else None
        if option is None or option.name not in rest:
            continue
        value = _neutral(field, rest[option.name])
        if value is None:
            continue
        del rest[option.name]
        _put(data, field, value)
    for option_name in server.replaced(invocation):
        rest.pop(option_name, None)
    data[invocation.server] = _section(invocation, rest)
    return data


def _neutral(field: str, value: Any) -> Any:
    """Return an option's value as the neutral field takes it, or None where the field has no such value."""
    if field == "served_model_names":
        return value if isinstance(value, list) else [value]
    if field == "kv_cache.dtype":
        value = "fp8" if value == "fp8_e4m3" else value
        return value if value in ("auto", "bfloat16", "float16", "float32", "fp8") else None
    if field.startswith(("limits.", "parallel.")):
        return value if isinstance(value, int) and value >= 1 else None
    return value


def _put(data: dict[str, Any], field: str, value: Any) -> None:
    section, _, name = field.partition(".")
    if name:
        data.setdefault(section, {})[name] = value
    else:
        data[section] = value


def _section(invocation: Invocation, rest: dict[str, Any]) -> dict[str, Any]:
    section: dict[str, Any] = {}
    if invocation.version is not None or _needs_version(invocation):
        section["version"] = invocation.version or invocation.surface.version
    container = invocation.container
    if container is not None:
        section["image"] = container.image
        options = {
            "shm_size": container.shm_size,
            "ulimits": dict(container.ulimits) or None,
            "workdir": container.workdir,
        }
        section["container"] = {key: value for key, value in options.items() if value is not None}
    section["args"] = {name.lstrip("-"): value for name, value in rest.items()}
    section["env"] = {name: value for name, value in invocation.env.items() if name != "HF_TOKEN"}
    if invocation.llm_args is not None:
        section["llm_args"] = dict(invocation.llm_args)
    return {key: value for key, value in section.items() if value not in ({}, None)}


def _kept_unknown(invocation: Invocation) -> dict[str, Any]:
    """Return the options that the record has not, where the recipe's version is another one and may have them."""
    is_another = invocation.version is not None or (not _needs_version(invocation) and invocation.container is not None)
    if invocation.record.is_exact or not is_another:
        return {}
    given = {name: value for name, value in invocation.unknown.items() if value is not None}
    return {name: value for name, value in given.items() if name.startswith("--")}


def _needs_version(invocation: Invocation) -> bool:
    """Return whether a recipe of this server always names a version."""
    return EXTERNAL[invocation.server].model_fields["version"].default is not None


def _comments(invocation: Invocation) -> str:
    """Return a comment for everything that the recipe leaves out."""
    kept = _kept_unknown(invocation)
    lines = [
        f"{finding.subject} ({finding.message})"
        for finding in (*invocation.findings, *check_options(invocation))
        if finding.rule in _LEFT_OUT and finding.subject not in kept
    ]
    lines += [
        f"the value of {finding.subject} (a secret: pass it on by an environment variable)"
        for finding in invocation.findings
        if finding.rule == "secret-in-command"
    ]
    lines += _container_losses(invocation)
    return "".join("# left out: " + "".join(c if c.isprintable() else " " for c in line) + "\n" for line in lines)


def _container_losses(invocation: Invocation) -> list[str]:
    container = invocation.container
    if container is None:
        return []
    mounts = [pair for pair in container.mounts.items() if not _is_kept(invocation, pair[1])]
    lines = [f"the mount {source}:{target}" for source, target in mounts]
    return [*lines, *(f"docker's {item}" if item.startswith("-") else item for item in container.not_carried)]


def _is_kept(invocation: Invocation, target: str) -> bool:
    """Return whether a rendering mounts its own file, or the hub's cache, in the same place."""
    path = target.partition(":")[0]
    replaced = {invocation.options.get(name) for name in find_server(invocation.server).replaced(invocation)}
    is_config = invocation.llm_args is not None and path == invocation.config_path
    return path == _CACHE or path in replaced or is_config
