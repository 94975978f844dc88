"""A server's YAML file compared with the classes of one version: every key at every depth, types and bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.options.bounds import key_out_of_range
from trtnemo.launch.servers.surface import PartialClass, Surface, load_surface, recorded_versions
from trtnemo.recipe.nearest import suggestion

_IGNORED = {
    "build_config": "is dropped for the PyTorch backend",
    "quant_config": "is not a field of the PyTorch backend's arguments; that it has any effect was not confirmed",
}
_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "list": (list,),
    "dict": (dict,),
    "null": (type(None),),
}
# Texts that the server folds before it compares them.
_FOLDED: dict[tuple[str, ...], Callable[[str], str]] = {
    ("kv_cache_config", "dtype"): str.lower,
    ("cp_config", "cp_type"): str.upper,
}


def check_llm_args(surface: Surface, data: Any, backend: Any = None) -> list[Finding]:
    """Return what a version finds wrong in its YAML file, given as plain data.

    `backend` is the one that reads it, where the command names one; some have a class of their own.
    """
    if not isinstance(data, Mapping):
        return [Finding("error", "file-root", "llm_args", "the file is a mapping of keys to values")]
    known = {key: value for key, value in data.items() if key not in surface.file_only}
    dropped = [
        Finding("note", "ignored-key", key, _IGNORED[key]) for key in data if key in surface.file_only & _IGNORED.keys()
    ]
    partial = surface.partial.get(str(backend))
    found = _check_class(surface, surface.root or "", known, ()) if partial is None else []
    return [*dropped, *found, *([] if partial is None else _check_partial(surface, partial, known))]


def _check_partial(surface: Surface, partial: PartialClass, data: Mapping[str, Any]) -> list[Finding]:
    """Return findings by a record that is not whole: a key that it has not is no error."""
    inherited = surface.classes[surface.root or ""] if partial.adds_to_root else {}
    fields = {**inherited, **partial.fields}
    gap = f"our record of {partial.title} is not whole ({partial.evidence})"
    findings = [Finding("note", "record", "file", f"{gap}: what it has not is not checked")]
    for key, value in data.items():
        spec = fields.get(key)
        if spec is None:
            findings.append(Finding("warning", "partial-record", str(key), f"is not checked: {gap}"))
            continue
        if key in partial.fields and spec.get("certain") is False:
            findings.append(Finding("warning", "uncertain-key", str(key), "is there in some versions, not in all"))
            spec = {name: item for name, item in spec.items() if name != "certain"}
        findings += _check_field(surface, spec, value, (str(key),))
    return findings


def _check_class(surface: Surface, name: str, data: Mapping[str, Any], path: tuple[str, ...]) -> list[Finding]:
    fields, findings = surface.classes[name], []
    for key, value in data.items():
        place = (*path, str(key))
        spec = fields.get(str(key))
        if spec is None:
            findings.append(_unknown(surface, name, str(key), place))
            continue
        findings.extend(_check_field(surface, spec, value, place))
    return findings


def _unknown(surface: Surface, name: str, key: str, place: tuple[str, ...]) -> Finding:
    message = f"{surface.title}'s {name} has no such key; the server stops at start"
    return Finding("error", "unknown-key", ".".join(place), message, _where_it_belongs(surface, name, key))


def _where_it_belongs(surface: Surface, name: str, key: str) -> str:
    """Return advice: the class that has this key, the version that has it, or the nearest key."""
    for field, spec in surface.classes[surface.root or ""].items():
        inner = spec.get("class")
        if inner and inner != name and key in surface.classes[inner]:
            return f"It belongs under {field}"
    versions = [
        version
        for version in recorded_versions(surface.server)
        if key in load_surface(surface.server, version).classes.get(name, {})
    ]
    if versions:
        return f"{', '.join(versions)} has it"
    match = suggestion(key, surface.classes[name]).lstrip("; ")
    return match[:1].upper() + match[1:]


def _check_field(surface: Surface, spec: Mapping[str, Any], value: Any, place: tuple[str, ...]) -> list[Finding]:
    subject, findings = ".".join(place), []
    fold = _FOLDED.get(place[-2:])
    value = fold(value) if fold and isinstance(value, str) else value
    if spec.get("certain") is False:
        message = f"may not exist in {surface.title}: only one of the two snapshots around it has it"
        findings.append(Finding("warning", "uncertain-key", subject, message))
    if spec.get("deprecated"):
        findings.append(Finding("note", "deprecated-key", subject, f"is deprecated in {surface.title}"))
    problem = _problem(spec, value) or key_out_of_range(subject, value, surface.dialect.file_keys)
    if problem:
        return [*findings, Finding("error", "key-value", subject, problem)]
    if value in spec.get("uncertain", ()):
        findings.append(Finding("warning", "uncertain-value", subject, f"{value!r} may not be there yet"))
    inner = _class_of(surface, spec, place[-1], value)
    if isinstance(inner, Finding):
        return [*findings, inner]
    if inner and isinstance(value, Mapping):
        findings.extend(_check_class(surface, inner, value, place))
    return findings


def _class_of(surface: Surface, spec: Mapping[str, Any], key: str, value: Any) -> str | Finding | None:
    union = surface.unions.get(key)
    if union is None or not isinstance(value, Mapping):
        named: str | None = spec.get("class")
        return named
    chosen = value.get(union["by"])
    classes = union["classes"]
    if chosen in classes or not classes:
        found: str | None = classes.get(chosen)
        return found
    message = f"{union['by']} {chosen!r} is not one of: {', '.join(classes)}{suggestion(str(chosen), classes)}"
    return Finding("error", "key-value", key, message)


def _problem(spec: Mapping[str, Any], value: Any) -> str | None:
    types = spec["types"]
    if not any(_is_a(value, name) for name in types):
        return f"must be {' or '.join(types)}, not {value!r}"
    if value is None:
        return None
    allowed, kinds = spec.get("allowed"), spec.get("items")
    for item in value if isinstance(value, list) else [value]:
        if kinds and isinstance(value, list) and not any(_is_a(item, name) for name in kinds):
            return f"must be a list of {' or '.join(kinds)}, not of {item!r}"
        if allowed and isinstance(item, str) and item not in (*allowed, *spec.get("uncertain", ())):
            return f"{item!r} is not one of: {', '.join(map(str, allowed))}{suggestion(item, map(str, allowed))}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = spec.get("minimum"), spec.get("maximum")
        if (low is not None and value < low) or (high is not None and value > high):
            return f"{value} is out of range ({low if low is not None else ''}..{high if high is not None else ''})"
    return None


def _is_a(value: Any, name: str) -> bool:
    if name == "object":
        return True
    if isinstance(value, bool):
        return name == "bool"
    return isinstance(value, _TYPES[name])
