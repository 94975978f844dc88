"""Starts of external servers, written by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.surface import choose_surface


def start_of(server: str, version: str | None, model: str, options: Mapping[str, Any], **fields: Any) -> Invocation:
    """Return a start of a server's version."""
    return Invocation(record=choose_surface(server, version), model=model, options=options, **fields)


def at_version(start: Invocation, version: str) -> Invocation:
    """Return the same start of another version."""
    return dataclasses.replace(start, record=choose_surface(start.server, version))
