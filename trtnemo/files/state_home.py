"""Where this program keeps what is a user's own and no setting."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def state_home() -> Path:
    """Return the directory, which may not be there yet: XDG_STATE_HOME's, where that is an absolute path."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    state = given if given.is_absolute() else Path(os.path.expanduser("~")) / ".local" / "state"
    return state / "trtnemo"


def write_state(path: Path, content: bytes) -> None:
    """Write a file of state whole or not at all; a disk that is full leaves what stood there."""
    new = path.with_name(f"{path.name}.new")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new.write_bytes(content)
        new.replace(path)
