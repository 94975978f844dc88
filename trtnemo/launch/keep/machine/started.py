"""A process as it was started: its number alone may be another's later."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from trtnemo.errors import MachineError

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SESSION, _TICKS = 3, 19  # fields of /proc/PID/stat, counted behind the name


class Started(msgspec.Struct, frozen=True):
    """One: its number, when it was started, in the kernel's ticks, and of which boot."""

    pid: int
    ticks: int
    boot: str

    @property
    def is_alive(self) -> bool:
        """Whether it runs still."""
        fields = _fields(self.pid)
        return self.boot == _boot() and fields is not None and int(fields[_TICKS]) == self.ticks and fields[0] != "Z"

    def session(self) -> list[int]:
        """Return the processes of the session that it began, itself among them.

        The kernel gives its number to no other while one of them runs.
        """
        fields = _fields(self.pid)
        if self.boot != _boot() or (fields is not None and int(fields[_TICKS]) != self.ticks):
            return []
        return [pid for pid, session, ticks in _sessions() if session == self.pid and ticks >= self.ticks]

    def end_session(self, seconds: float) -> bool:
        """End the session: ask, wait for so many seconds, kill; return whether there was anything to end."""
        if not self.session():
            return False
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, seconds)):
            for pid in self.session():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            ends = time.monotonic() + patience
            while self.session() and time.monotonic() < ends:
                time.sleep(0.05)
        return True


def started(pid: int) -> Started | None:
    """Return a running process, None where there is none of the number."""
    fields = _fields(pid)
    return None if fields is None else Started(pid, int(fields[_TICKS]), _boot())


def require_started(pid: int) -> Started:
    """Return a process that runs; raises MachineError where this system has no /proc."""
    found = started(pid)
    if found is None:
        raise MachineError("has no /proc, by which processes are known again", where="this machine")
    return found


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _fields(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _sessions() -> Iterator[tuple[int, int, int]]:
    """Yield each process that is no zombie: its number, its session, its ticks."""
    for path in Path("/proc").iterdir():
        fields = _fields(int(path.name)) if path.name.isdigit() else None
        if fields is not None and len(fields) > _TICKS and fields[0] != "Z":
            yield int(path.name), int(fields[_SESSION]), int(fields[_TICKS])
