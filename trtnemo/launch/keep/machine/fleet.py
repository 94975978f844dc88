"""What is asked of supervised servers from outside: how they are, their logs, and their end."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from trtnemo.errors import ServerError
from trtnemo.launch.keep.machine.member import Member
from trtnemo.launch.keep.probes import read_counters
from trtnemo.launch.servers.registry import find_server

_GLANCE_SECONDS, _BETWEEN_SECONDS = 1.0, 0.3


def glance(member: Member) -> dict[str, Any]:
    """Return how a server is, as `status --json` says it: its speed is measured for a second."""
    running, speed = _speed(member) if member.is_supervised and member.state == "serving" else (None, None)
    return {
        "name": member.name,
        "state": member.state if member.is_supervised else "left",
        "seconds": max(0.0, round(time.time() - member.since, 1)),
        "restarts": member.restarts,
        "running": running,
        "tokens_per_second": speed,
        "model": member.model,
        "url": member.door or member.url,
        "server_url": member.url,
        "bundle": member.bundle,
        "supervisor": member.supervisor.pid,
        "server": None if member.server is None else member.server.pid,
        "container": member.container,
        "log": str(member.log),
    }


def _speed(member: Member) -> tuple[float | None, float | None]:
    """Return running requests and tokens a second, each None where the server does not say it."""
    watch = find_server(member.runtime).watch
    watch = replace(watch, steps=tuple(name for name in watch.steps if "generation_tokens" in name))
    first, began = read_counters(member.url, watch, _GLANCE_SECONDS), time.monotonic()
    if first is None:
        return None, None
    time.sleep(_GLANCE_SECONDS)
    second = read_counters(member.url, watch, _GLANCE_SECONDS)
    if second is None:
        return first.running, None
    return second.running, max(0.0, second.steps - first.steps) / (time.monotonic() - began)


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log; raises ServerError where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, count)]
    except OSError as error:
        raise ServerError(f"cannot be read: {error.strerror}", where=str(path)) from None


def follow_lines(path: Path) -> Iterator[str]:
    """Yield lines as they are appended, also when the file is another one meanwhile."""
    file = path.open(encoding="utf-8", errors="replace")
    try:
        file.seek(0, os.SEEK_END)
        while True:
            line = file.readline()
            if line:
                yield line.rstrip("\n")
                continue
            time.sleep(0.2)
            with suppress(OSError):
                if path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                    file.close()
                    file = path.open(encoding="utf-8", errors="replace")
    finally:
        file.close()


def _ask_to_stop(member: Member) -> None:
    if member.is_supervised:
        with suppress(ProcessLookupError):
            os.kill(member.supervisor.pid, signal.SIGTERM)


def end_member(member: Member, *, kill: bool, seconds: float) -> None:
    """End a server and its supervisor, or what is left of them; raises ServerError where that takes too long."""
    _ask_to_stop(member)
    if kill:
        time.sleep(_BETWEEN_SECONDS)
        _ask_to_stop(member)
    ends = time.monotonic() + seconds
    while member.is_supervised:
        if time.monotonic() > ends:
            raise ServerError(f"has not ended within {seconds:.0f} s", where=member.name, remedy="Give --kill")
        time.sleep(0.1)
    member.end()
    member.forget()
