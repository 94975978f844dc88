"""Options that a recipe gives in its server's own words, checked one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.findings import Finding
from trtnemo.launch.neutral import refuse_dashes
from trtnemo.launch.options.arguments import unknown_option
from trtnemo.launch.options.option_value import check_data
from trtnemo.launch.servers.surface import SECRET_OPTIONS, Option, Surface
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
        if isinstance(value, list):
            refuse_dashes(name, *(item for item in value if isinstance(item, str)))
        if value is not None:
            options[name] = value
        if option is None:
            findings.append(Finding("error", "unknown-option", name, *unknown_option(surface, name)))
        elif value is not None:
            findings.extend(check_data(surface, option, value))
    return options, findings


def _find(surface: Surface, key: str) -> Option | None:
    names = (f"--{key}", f"--{key.replace('_', '-')}", f"--{key.replace('-', '_')}", f"-{key}")
    return next((option for name in names if (option := surface.find(name)) is not None), None)
