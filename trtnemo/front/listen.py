"""Sockets to listen on."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from trtnemo.errors import ServerError

BACKLOG = 1024


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket that does not listen yet; raises ServerError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _taken(f"{host}:{port}", error) from None
    return listener


def bind_unix(path: Path) -> socket.socket:
    """Return a socket bound to a path, for owner and group; raises ServerError where something else is there."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with suppress(OSError):
        if stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()  # of a server that was killed
    try:
        listener.bind(str(path))
        os.chmod(path, 0o660)
    except OSError as error:
        listener.close()
        raise _taken(str(path), error) from None
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def listen(listener: socket.socket) -> None:
    """Let clients connect; raises ServerError when another server began to listen meanwhile."""
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise _taken(str(listener.getsockname()), error) from None


def _taken(place: str, error: OSError) -> ServerError:
    return ServerError(
        f"cannot listen on {place}: {error.strerror or error}",
        remedy="Choose another --port, or stop what uses it",
    )


def url_of(host: str, port: int, scheme: str = "http") -> str:
    """Return the address that a client is told."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
