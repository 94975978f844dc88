"""Kinds, keys and values: what an API server refuses, by the schemas of Kubernetes and of the others."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.manifests.objects import Object
from trtnemo.launch.manifests.rule import Manifest
from trtnemo.launch.manifests.schemas import (
    KUBERNETES,
    are_installed,
    definitions,
    known_kinds,
    kubernetes_kinds,
    schema_of,
)
from trtnemo.recipe.nearest import suggestion

_LONGEST_VALUE = 60
# groups of Kubernetes itself whose names have no dot, or end so
_OWN_GROUPS = ("apps", "batch", "policy", "autoscaling", "extensions")


def _by_schema(manifest: Manifest) -> Iterator[Finding]:
    """Find what the schemas of all kinds refuse."""
    if not are_installed():
        message = "kubernetes-validate is not installed: keys and values outside of containers are not checked"
        yield Finding("note", "no-schemas", "manifest", message, "pip install 'trtnemo[manifests]'")
        return
    for item in manifest.objects:
        yield from _findings(item)


def _findings(item: Object) -> Iterator[Finding]:
    schema = schema_of(item.kind, item.api_version)
    if schema is None:
        yield _without_schema(item)
        return
    for fault in _validator(item.kind, item.api_version).iter_errors(_plain(item.content)):
        yield from _told(item, fault)


@functools.lru_cache(maxsize=64)
def _validator(kind: str, api_version: str) -> Any:
    from jsonschema.validators import Draft202012Validator
    from referencing import Registry, Resource

    registry: Any = Resource.from_contents(definitions()) @ Registry()
    return Draft202012Validator(schema_of(kind, api_version) or {}, registry=registry)


def _without_schema(item: Object) -> Finding:
    """Return an error for a kind that Kubernetes would have, and a warning for one of other software."""
    group, slash, _ = item.api_version.rpartition("/")
    ours = [version for kind, version in known_kinds() if kind == item.kind]
    if ours:
        message = (
            f"{item.api_version} is another version than {ours[0]}, whose schema is here: its keys are not checked"
        )
        return Finding("warning", "kind-not-checked", item.title, message, f"Write it as {ours[0]}")
    is_kubernetes = not slash or group in _OWN_GROUPS or group.endswith(".k8s.io")
    if is_kubernetes and "x-k8s.io" not in group:
        hint = suggestion(item.kind.lower(), sorted(kubernetes_kinds())) if item.kind else ""
        message = f"Kubernetes {KUBERNETES} has no kind {item.kind!r} in {item.api_version!r}{hint}"
        return Finding("error", "unknown-kind", item.title, message)
    message = f"is a kind of other software ({item.api_version}), of which there is no schema here: not checked"
    return Finding("warning", "kind-not-checked", item.title, message)


def _told(item: Object, fault: Any) -> Iterator[Finding]:
    """Yield what a fault says in words: keys that do not exist, keys that are missing, values of the wrong type."""
    where = ".".join(map(str, fault.absolute_path))
    subject = f"{item.title} {where}".rstrip()
    if fault.validator == "additionalProperties" and isinstance(fault.instance, dict):
        known = sorted(fault.schema.get("properties", {}))
        for key in (key for key in fault.instance if key not in known):
            hint = suggestion(str(key), known)
            yield Finding("error", "manifest-key", subject, f"{key!r} is no key here{hint}: the API server refuses it")
    elif fault.validator == "required":
        missing = [key for key in fault.validator_value if key not in fault.instance]
        yield Finding("error", "manifest-key", subject, f"needs {', '.join(missing)}")
    else:
        value = str(fault.instance)
        shown = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}..."
        yield Finding("error", "manifest-value", subject, f"{shown!r} is not {_wanted(fault)}")


def _wanted(fault: Any) -> str:
    value = fault.validator_value
    if fault.validator == "type":
        kinds = [kind for kind in ([value] if isinstance(value, str) else value) if kind != "null"]
        return f"of type {' or '.join(kinds)}"
    if fault.validator == "enum":
        return f"one of: {', '.join(map(str, value))}"
    if fault.validator in ("minimum", "minItems", "minLength"):
        return f"{value} at least"
    if fault.validator in ("maximum", "maxItems", "maxLength"):
        return f"{value} at most"
    return f"what {fault.validator} {value if isinstance(value, str) else ''}".rstrip() + " asks for"


def _plain(value: Any) -> Any:
    """Return YAML data as JSON has it: keys are texts, and moments in time are written out."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


RULES = (_by_schema,)
