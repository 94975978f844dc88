"""A server's log in a file that does not grow without end."""

from __future__ import annotations

from pathlib import Path

MOST_BYTES, KEPT = 16 << 20, 3


class ServerLog:
    """Appends lines; a file that is full becomes NAME.1, and so on. What cannot be written is left out."""

    def __init__(self, path: Path, most: int = MOST_BYTES) -> None:
        self._path, self._most = path, most

    def write(self, line: str) -> None:
        """Append a line."""
        try:
            if self._path.exists() and self._path.stat().st_size + len(line) > self._most:
                self._turn()
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{line}\n")
        except OSError:
            return

    def _turn(self) -> None:
        for number in range(KEPT - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number + 1}"))
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
