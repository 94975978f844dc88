"""Time as a supervisor counts it."""

from __future__ import annotations

import threading
import time


class Clock:
    """Seconds that pass `1 / scale` times as fast as real ones: a trial of long limits need not take as long."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self._began = time.monotonic()

    def now(self) -> float:
        """Return seconds since the clock was made; a clock that is set otherwise meanwhile changes nothing."""
        return (time.monotonic() - self._began) / self.scale

    def wait(self, seconds: float, unless: threading.Event) -> bool:
        """Wait; return whether the event came meanwhile."""
        return unless.wait(max(0.0, seconds) * self.scale)

    def real(self, seconds: float) -> float:
        """Return what so many seconds are for anything that keeps its own time."""
        return seconds * self.scale
