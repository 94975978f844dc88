"""What a server ends up with where its command line and its YAML file both speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.servers.invocation import Invocation


@dataclass(frozen=True)
class Settings:
    """The arguments that a server is built with, by dotted key of its file, and what lost to what."""

    values: Mapping[str, Any]
    findings: tuple[Finding, ...]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a dotted key."""
        return self.values.get(key, default)


def effective_settings(invocation: Invocation) -> Settings:
    """Return what holds in the end, by the version's precedence: the file over the options, or typed ones over it."""
    surface = invocation.surface
    file_wins, values, findings = surface.precedence == "file", flatten(invocation.llm_args or {}), []
    for name, value in invocation.options.items():
        key = surface.dialect.file_keys.get(name)
        if key is None:
            continue
        if key in values and values[key] != value:
            findings.append(_overridden(surface.title, file_wins, name, value, key, values[key]))
        if key not in values or not file_wins:
            values[key] = value
    return Settings(values, tuple(findings))


def _overridden(title: str, file_wins: bool, name: str, typed: Any, key: str, written: Any) -> Finding:
    if file_wins:
        message = f"{typed!r} is overridden by {key}: {written!r} in the YAML file ({title}: the file wins)"
        return Finding("warning", "overridden", name, message, "Say it in one place")
    message = f"{written!r} is overridden by {name} {typed!r} ({title}: a typed option wins)"
    return Finding("warning", "overridden", key, message, "Say it in one place")


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping by dotted keys; sections themselves stay too, so that `null` sections show."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat[f"{prefix}{key}"] = value
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
    return flat
