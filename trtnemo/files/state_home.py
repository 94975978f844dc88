"""Where this program keeps what is a user's own and no setting."""

from __future__ import annotations

import os
from pathlib import Path


def state_home() -> Path:
    """Return the directory, which may not be there yet: XDG_STATE_HOME's, where that is an absolute path."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    state = given if given.is_absolute() else Path(os.path.expanduser("~")) / ".local" / "state"
    return state / "trtnemo"
