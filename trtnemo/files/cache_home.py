"""Where this program keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """Return the directory, which may not be there yet: XDG_CACHE_HOME's, where that is an absolute path."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    cache = given if given.is_absolute() else Path(os.path.expanduser("~")) / ".cache"
    return cache / "trtnemo"


def engines_home() -> Path:
    """Return the directory of the engines that `trtnemo run` built."""
    return cache_home() / "engines"
