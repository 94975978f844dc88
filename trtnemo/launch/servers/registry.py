"""External servers by name."""

from __future__ import annotations

import importlib

from trtnemo.launch.servers.server import Server
from trtnemo.recipe.external import EXTERNAL


def find_server(name: str) -> Server:
    """Return the server of a name out of its folder; the names are those that a recipe's `runtime` may have."""
    server: Server = importlib.import_module(f"{__package__}.{name}.server").SERVER
    return server


def all_servers() -> dict[str, Server]:
    """Return every server by name."""
    return {name: find_server(name) for name in EXTERNAL}
