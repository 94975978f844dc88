"""Where this program keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

from trtnemo.errors import MachineError


def cache_home() -> Path:
    """Return the directory, which may not be there yet: XDG_CACHE_HOME's, where that is an absolute path."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    cache = given if given.is_absolute() else Path(os.path.expanduser("~")) / ".cache"
    return cache / "trtnemo"


def engines_home() -> Path:
    """Return the directory of the engines that `trtnemo run` built."""
    return cache_home() / "engines"


def require_engines_home() -> Path:
    """Return that directory, made where it is not there; raises MachineError where nothing can be written to it."""
    home = engines_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        is_open = os.access(home, os.W_OK | os.X_OK)
        reason = "Permission denied"
    except OSError as error:
        is_open, reason = False, str(error.strerror)
    if not is_open:
        raise MachineError(
            f"engines cannot be kept here: {reason}",
            where=str(home),
            remedy="Set XDG_CACHE_HOME to a directory that can be written",
        )
    return home
