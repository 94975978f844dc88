"""What happens to a server, told to a person and appended to a file as JSON, a line each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any


class Events:
    """Tells events. A file that cannot be written to is told once and does not end anything: a disk may be full."""

    def __init__(
        self,
        report: Callable[[str], None],
        path: Path | None = None,
        hear: Callable[[str, dict[str, Any]], None] = lambda event, more: None,
    ) -> None:
        """`hear` is told each event too, and what is known of it: it counts."""
        self._report, self._path, self._hear = report, path, hear
        self._is_told = False

    def tell(self, event: str, text: str, **more: Any) -> None:
        """Tell one event: its kind for programs, a sentence for people, and what else is known of it."""
        self._report(text)
        self._hear(event, more)
        if self._path is None:
            return
        line = {"time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"), "event": event, "text": text}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**line, **more}) + "\n")
        except OSError as error:
            if not self._is_told:
                print(f"events cannot be written to {self._path}: {error.strerror}", file=sys.stderr)
            self._is_told = True
