"""Whether an option's value is one that the server's parser takes, and what it becomes."""

from __future__ import annotations

import json
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.options.bounds import out_of_range
from trtnemo.launch.servers.option_type import CONVERTERS
from trtnemo.launch.servers.surface import Option, Surface
from trtnemo.recipe.nearest import suggestion

_WORDS = {"int": "a whole number", "float": "a number", "json": "valid JSON", "human_readable_int": "a whole number"}


def check_value(surface: Surface, option: Option, text: str) -> tuple[Any, list[Finding]]:
    """Return the value that a text becomes, and what is wrong with it."""
    try:
        value = _read(option, text)
    except ValueError:
        kind = option.type.removeprefix("optional ")
        return text, [_wrong(option, text, f"is not {_WORDS.get(kind, f'a value of type {kind}')}")]
    if value is None:
        return None, []
    outside = out_of_range(option.name, value)
    if outside:
        return value, [_wrong_data(option, outside)]
    if option.choices is not None:
        return value, _check_choice(option, value)
    fields = surface.nested.get(option.name)
    if isinstance(value, dict) and fields is not None:
        return value, _check_fields(surface, option, value, fields)
    return value, []


def convert(option: Option, text: str) -> Any:
    """Return the value that a text becomes, or the text itself where the option takes no such value."""
    try:
        return _read(option, text)
    except ValueError:
        return text


def _read(option: Option, text: str) -> Any:
    """Return the value that a text becomes; raises ValueError."""
    if option.type.startswith("optional ") and text in ("", "None"):
        return None
    return CONVERTERS[option.type.removeprefix("optional ")](text)


def check_data(surface: Surface, option: Option, value: Any) -> list[Finding]:
    """Return what is wrong with a value that is given as data."""
    if not option.takes_value:
        return [] if isinstance(value, bool) else [_wrong_data(option, f"must be true or false, not {value!r}")]
    if value is True and option.kind == "optional":
        return []
    if isinstance(value, bool):
        return [_wrong_data(option, f"takes a value, not {value!r}")]
    takes_many = option.kind == "list" or option.repeatable
    if isinstance(value, list) and not takes_many and "json" not in option.type:
        return [_wrong_data(option, f"takes one value, not the list {value!r}")]
    items = value if isinstance(value, list) and takes_many else [value]
    texts = (json.dumps(item) if isinstance(item, (dict, list)) else str(item) for item in items)
    return [finding for text in texts for finding in check_value(surface, option, text)[1]]


def _check_choice(option: Option, value: Any) -> list[Finding]:
    allowed = option.choices or ()
    if any(str(value) == str(choice) for choice in allowed):
        return []
    if any(str(value) == str(choice) for choice in option.uncertain):
        message = f"{value!r} may not be there in this version"
        return [Finding("warning", "uncertain-value", option.name, message, f"Certain are: {_listed(allowed)}")]
    return [_not_one_of(option, value, allowed)]


def _check_fields(surface: Surface, option: Option, value: dict[str, Any], fields: Any) -> list[Finding]:
    findings = []
    for key, item in value.items():
        subject = f"{option.name} {key}"
        if key not in fields:
            message = f"{surface.title} knows no such key{suggestion(key, fields)}"
            findings.append(Finding("error", "unknown-key", subject, message, f"Known are: {_listed(sorted(fields))}"))
            continue
        allowed = fields[key].get("allowed")
        if allowed and isinstance(item, str) and item not in allowed:
            message = f"{item!r} is not one of: {_listed(allowed)}{suggestion(item, allowed)}"
            findings.append(Finding("error", "option-value", subject, message))
    return findings


def _not_one_of(option: Option, value: Any, allowed: Any) -> Finding:
    return _wrong(option, value, f"is not one of: {_listed(allowed)}{suggestion(str(value), map(str, allowed))}")


def _wrong(option: Option, value: Any, problem: str) -> Finding:
    return Finding("error", "option-value", option.name, f"{str(value)!r} {problem}")


def _wrong_data(option: Option, message: str) -> Finding:
    return Finding("error", "option-value", option.name, message)


def _listed(values: Any) -> str:
    return ", ".join(map(str, values))
