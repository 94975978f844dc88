"""Options that a recipe gives in its server's own words, checked one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.launch.arguments import unknown_option
from trtnemo.launch.finding import Finding
from trtnemo.launch.neutral import refuse_dashes
from trtnemo.launch.option_value import check_value
from trtnemo.launch.surface import SECRET_OPTIONS, Option, Surface
from trtnemo.recipe.external import is_secret


def native_options(surface: Surface, args: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Return the options of a server's own section, checked one by one.

    An option without a record stays as it is written: where the record is another version's, the server may have it.
    """
    options: dict[str, Any] = {}
    findings: list[Finding] = []
    for key, value in args.items():
        option = _find(surface, key)
        name = option.name if option else f"--{key}"
        if isinstance(value, (str, list)) and (name in SECRET_OPTIONS or (option is None and is_secret(key))):
            raise RecipeError(
                f"'{surface.server}.args' holds a secret ({name})",
                remedy=f"Name its variable under '{surface.server}.env' with null, such as VLLM_API_KEY",
            )
        if value is not None:
            options[name] = value
        if option is None:
            findings.append(Finding("error", "unknown-option", name, *unknown_option(surface, name)))
            _refuse_dashes_in(name, value)
        elif value is not None:
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
    _refuse_dashes_in(option.name, value)
    findings = []
    for item in items:
        text = json.dumps(item) if isinstance(item, (dict, list)) else str(item)
        findings.extend(check_value(surface, option, text)[1])
    return findings


def _refuse_dashes_in(name: str, value: Any) -> None:
    if isinstance(value, list):
        refuse_dashes(name, *(item for item in value if isinstance(item, str)))
