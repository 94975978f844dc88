"""Stop strings, found across the pieces of a stream."""

from __future__ import annotations

from collections.abc import Sequence

from trtnemo.formats.overlap import overlap


class StopMatcher:
    """Passes text through until a stop string appears; a possible prefix of one is held back."""

    def __init__(self, stops: Sequence[str], include: bool = False) -> None:
        self._stops = [stop for stop in stops if stop]
        self._include = include
        self._held = ""
        self.matched: str | None = None

    def push(self, text: str) -> str:
        """Return the text that is safe to pass on; nothing more once a stop string was found."""
        if self.matched is not None:
            return ""
        self._held += text
        found = [(self._held.find(stop), stop) for stop in self._stops if stop in self._held]
        if found:
            position, self.matched = min(found)
            ready, self._held = self._held[:position], ""
            return ready + self.matched if self._include else ready
        keep = max((overlap(self._held, stop) for stop in self._stops), default=0)
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return ready

    def finish(self) -> str:
        """Return what was held back."""
        text, self._held = self._held, ""
        return text
