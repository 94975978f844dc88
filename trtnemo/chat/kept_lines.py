"""The file that keeps what was typed, readable by its user alone."""

from __future__ import annotations

import os

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from trtnemo.files.state_home import state_home


class KeptLines(FileHistory):
    """Typed turns across sessions; a disk that is full costs the file a turn, not the user the conversation."""

    def store_string(self, string: str) -> None:
        """Append a turn."""
        try:
            super().store_string(string)
        except OSError:
            return


def kept_lines() -> History:
    """Return what was typed before, from the user's state directory; raises OSError where no file can be kept."""
    path = state_home() / "chat-history"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # one that was copied, or made under another name, may be open to others
    finally:
        os.close(descriptor)
    return KeptLines(str(path))


def typed_now() -> History:
    """Return a history that ends with the program."""
    return InMemoryHistory()
