"""One supervised server as it is written down, for those who ask, and for who comes after a supervisor that is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from trtnemo.errors import ServerError
from trtnemo.files.lock import LockedError, locked
from trtnemo.files.state_home import state_home, write_state
from trtnemo.launch.keep.machine.started import Started

ENDING_SECONDS = 4.0
_DOCKER_SECONDS = 20.0


class Member(msgspec.Struct, frozen=True):
    """A supervised server: where it answers, who supervises it, what runs, and in which state it is since when.

    runtime: the kind of server. since: seconds since 1970. restarts: of this supervisor. container: its name, where it
    runs in one. door: the address of the gateway before it.
    """

    name: str
    runtime: str
    url: str
    model: str
    bundle: str
    supervisor: Started
    server: Started | None = None
    container: str | None = None
    state: str = "starting"
    since: float = 0.0
    restarts: int = 0
    door: str | None = None

    @property
    def is_supervised(self) -> bool:
        """Whether its supervisor runs."""
        return self.supervisor.is_alive

    @property
    def log(self) -> Path:
        """Its server's log."""
        return directory() / f"{self.name}.log"

    def write(self) -> None:
        """Write it down; a disk that is full leaves what stood there."""
        write_state(directory() / f"{self.name}.json", msgspec.json.encode(self))

    def forget(self) -> None:
        """Strike it out, unless another supervisor has its name by now."""
        if any(other == self for other in members()):
            (directory() / f"{self.name}.json").unlink(missing_ok=True)

    def end(self) -> bool:
        """End what runs of it; return whether there was anything."""
        if self.container is not None:
            with suppress(OSError, subprocess.TimeoutExpired):
                words = ["docker", "kill", self.container]
                subprocess.run(words, capture_output=True, timeout=_DOCKER_SECONDS, check=False)
        return self.server is not None and self.server.end_session(ENDING_SECONDS)


def directory() -> Path:
    """Return where members are written down."""
    return state_home() / "servers"


def members() -> list[Member]:
    """Return all that are written down, by name; what is no member is passed over."""
    found = []
    for path in sorted(directory().glob("*.json")):
        with suppress(OSError, ValueError, msgspec.ValidationError):
            found.append(msgspec.json.decode(path.read_bytes(), type=Member))
    return found


@contextmanager
def entered(name: str) -> Iterator[list[Member]]:
    """Hold a name; yield what an earlier supervisor of it left written down. Raises ServerError where one runs."""
    place = directory()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    left = [member for member in members() if member.name == name]
    try:
        with locked(place / f"{name}.lock"):
            try:
                yield left
            finally:
                (place / f"{name}.json").unlink(missing_ok=True)
    except LockedError:
        who = f" by process {left[0].supervisor.pid}" if left else ""
        raise ServerError(
            f"is supervised already{who}", where=name, remedy=f"`trtnemo stop {name}` ends it, or choose another port"
        ) from None
