"""The options of a start compared with a version's record, each once."""

from __future__ import annotations

from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.options.option_value import check_data
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.surface import Surface, choose_surface, recorded_versions
from trtnemo.recipe.nearest import suggestion


def check_options(invocation: Invocation) -> list[Finding]:
    """Return what is wrong with the options: those that the record has not, and values that it does not take."""
    surface, findings = invocation.surface, []
    for name in invocation.unknown:
        findings.append(Finding("error", "unknown-option", name, *unknown_option(surface, name)))
    for name, value in invocation.options.items():
        option = surface.find(name)
        if option is not None and value is not None and not _is_open(invocation, value):
            findings += check_data(surface, option, value)
    return findings


def unknown_option(surface: Surface, name: str) -> tuple[str, str]:
    """Return (message, remedy) for an option that a version does not have: the nearest one, and who has it."""
    remedy = suggestion(name, surface.by_name).lstrip("; ")
    elsewhere = []
    for version in recorded_versions(surface.server):
        other = choose_surface(surface.server, version).surface
        if version != surface.version and other.find(name) is not None:
            elsewhere.append(version)
    known = f" ({', '.join(elsewhere)} has it)" if elsewhere else ""
    remedy = remedy[:1].upper() + remedy[1:]
    return f"{surface.title} has no such option{known}; the server stops at start", remedy


def _is_open(invocation: Invocation, value: Any) -> bool:
    """Return whether the text does not say what a value holds: nothing can be said of it."""
    texts = value if isinstance(value, list) else [value]
    return any(name in str(text) for text in texts for name in invocation.unset)
