"""How many tokens an answer took, from the answer itself."""

from __future__ import annotations

import re

_TOTAL = re.compile(rb'"total_tokens"\s*:\s*(\d{1,12})')
_PARTS = re.compile(rb'"(?:input|output)_tokens"\s*:\s*(\d{1,12})')
_EVENT = b"data:"
_KEPT = 8192  # the usage stands at the end of an answer


class UsageReader:
    """Reads pieces of an answer. `tokens` is its usage, or where it tells none, one for each event of a stream."""

    def __init__(self) -> None:
        self._tail = b""
        self._events = 0

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""
        self._events += piece.count(_EVENT)
        self._tail = (self._tail + piece)[-_KEPT:]

    @property
    def tokens(self) -> int:
        """Tokens of prompt and answer together."""
        totals = _TOTAL.findall(self._tail)
        if totals:
            return int(totals[-1])
        parts = _PARTS.findall(self._tail)[-2:]
        return sum(map(int, parts)) if parts else self._events
