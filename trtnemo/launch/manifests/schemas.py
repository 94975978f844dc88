"""Schemas of objects: those of Kubernetes out of the package kubernetes-validate, those of others beside this file."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KUBERNETES = "1.33"
_HERE = Path(__file__).resolve().parent / "schemas"
_DEFINITIONS = "https://kubernetes.io/api/_definitions.json"
_CORE = "io.k8s.api.core.v1."


def are_installed() -> bool:
    """Return whether the schemas of Kubernetes can be read here."""
    return all(importlib.util.find_spec(name) is not None for name in ("kubernetes_validate", "jsonschema"))


@functools.cache
def _folder() -> Path:
    spec = importlib.util.find_spec("kubernetes_validate")
    root = Path(str(spec.origin)).parent if spec is not None else Path()
    return root / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"


def schema_of(kind: str, api_version: str) -> dict[str, Any] | None:
    """Return the schema of a kind in a version, None where there is none."""
    own = _own().get((kind, api_version))
    if own is not None:
        return own
    if not re.fullmatch(r"[A-Za-z]+", kind) or not re.fullmatch(r"[a-z0-9./-]+", api_version):
        return None
    group, slash, version = api_version.rpartition("/")
    if slash and "." in group and not group.endswith(".k8s.io"):
        return None
    short = f"{group.partition('.')[0]}-{version}" if slash else version
    path = _folder() / f"{kind.lower()}-{short}.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    # the file's name says its kind in small letters
    written = found.get("properties", {}).get("kind", {}).get("enum", [kind])
    return found if kind in written else None


def known_kinds() -> list[tuple[str, str]]:
    """Return (kind, version) of the schemas beside this file."""
    return sorted(_own())


@functools.cache
def kubernetes_kinds() -> frozenset[str]:
    """Return the kinds of Kubernetes itself, in small letters."""
    return frozenset(path.name.partition("-")[0] for path in _folder().glob("*-*.json"))


@functools.cache
def definitions() -> dict[str, Any]:
    """Return the definitions that schemas of Kubernetes refer to."""
    found: dict[str, Any] = json.loads((_folder() / "_definitions.json").read_text(encoding="utf-8"))
    return found


@functools.cache
def _own() -> Mapping[tuple[str, str], dict[str, Any]]:
    found = {}
    for path in sorted(_HERE.glob("*.schema.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found[(content["kind"], f"{content['group']}/{content['version']}")] = _linked(content["schema"])
    return found


def _linked(schema: Any) -> Any:
    """Return a schema whose marks for parts of Kubernetes are references to its definitions."""
    if isinstance(schema, list):
        return [_linked(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    target = schema.get("$ref")
    if isinstance(target, str) and target.startswith("core/v1#"):
        return {"$ref": f"{_DEFINITIONS}#/$defs/{_CORE}{target.partition('#')[2]}"}
    linked = {key: _linked(value) for key, value in schema.items()}
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict) and isinstance(required, list):
        # the API server fills in defaults before it looks
        linked["required"] = [name for name in required if "default" not in properties.get(name, {})]
    return linked
