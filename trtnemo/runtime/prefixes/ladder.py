"""At which lengths of a long prompt its state goes to disk: where a prompt with another end may leave it."""

from __future__ import annotations

from trtnemo.backends import Snapshot

# What spares fewer tokens is neither written nor read.
LEAST_TOKENS = 1024
# Tokens between a rung and the end, at least; chunks end where they may, so a rung is the last chunk's end before that.
BACK = (1, 1024, 4096)
# A prompt is written when more than this part of it is not on disk.
LEAST_SHARE = 16


class Ladder:
    """The states of one prompt that are kept while it is read towards its end.

    covered: how many of its tokens are on disk; chunk: most tokens of a step.
    """

    def __init__(self, end: int, covered: int, chunk: int) -> None:
        self.end = end
        self.is_wanted = end - covered >= max(LEAST_TOKENS, end // LEAST_SHARE)
        self._first = max(LEAST_TOKENS, end - BACK[-1] - chunk)
        self._rungs: dict[int, Snapshot] = {}

    def wants(self, position: int) -> bool:
        """Return whether the state after so many tokens may be a rung."""
        return self.is_wanted and self._first <= position < self.end

    def climb(self, snapshot: Snapshot) -> None:
        """Take a state; it takes the places of shorter ones wherever it is far enough from the end."""
        self._rungs.update({back: snapshot for back in BACK if snapshot.length <= self.end - back})

    def rungs(self) -> list[Snapshot]:
        """Return the states, the shortest first."""
        found = {snapshot.length: snapshot for snapshot in self._rungs.values()}
        return [found[length] for length in sorted(found)]
