"""Chat formats by name; every file of this folder is imported once, and those that hold a format register it."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path

from trtnemo.formats.format import FORMATS, ReasoningFormat, ToolFormat


def reasoning_formats() -> dict[str, ReasoningFormat]:
    """Return every reasoning format by each of its names."""
    return {name: form for form in _all() if isinstance(form, ReasoningFormat) for name in form.names}


def tool_formats() -> dict[str, ToolFormat]:
    """Return every tool format by each of its names."""
    return {name: form for form in _all() if isinstance(form, ToolFormat) for name in form.names}


def all_tags() -> frozenset[str]:
    """Return the tags of all formats, which decoding must keep."""
    return frozenset(tag for form in _all() for tag in form.tags)


def all_switches() -> frozenset[str]:
    """Return the template switches of all formats."""
    forms = reasoning_formats().values()
    return frozenset(name for form in forms for name in form.template_switches | form.own_switches)


def _all() -> list[ReasoningFormat | ToolFormat]:
    _import_folder()
    return FORMATS


@functools.cache
def _import_folder() -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")
