"""Whether a server that was lost is started again, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["always", "on-failure", "no"]
MOST_STARTS = 3  # that fail before the first token, one after the other
FORGOTTEN = 1800.0  # seconds of serving after which earlier failures do not count
FIRST_DELAY, LONGEST_DELAY = 30.0, 600.0
_PARSER_ERROR = 2  # the exit code of a command line that is refused


@dataclass(frozen=True)
class Decision:
    """Start it again after so many seconds, or give up, and why."""

    delay: float | None
    why: str

    @property
    def restarts(self) -> bool:
        """Whether it is started again."""
        return self.delay is not None


class Restarts:
    """Counts failures of one server. `mode` always never gives up, no always does."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._in_a_row = 0
        self._starts_failed = 0
        self.count = 0

    def after(self, *, served_seconds: float | None, code: int | None, has_remedy: bool) -> Decision:
        """Return what to do after a life that served for so long, None for one that never gave a token.

        `code` is what it ended with by itself; has_remedy: its log shows a known issue, which comes again.
        """
        if self._mode == "no":
            return Decision(None, "--restart no")
        self._in_a_row = 1 if served_seconds is not None and served_seconds > FORGOTTEN else self._in_a_row + 1
        self._starts_failed = self._starts_failed + 1 if served_seconds is None else 0
        if self._mode != "always" and self._starts_failed:
            if code == _PARSER_ERROR:
                return Decision(None, "it refused its command line, and would again")
            if has_remedy:
                return Decision(None, "its log shows a known issue, which would come again")
            if self._starts_failed >= MOST_STARTS:
                return Decision(None, f"{self._starts_failed} starts failed before the first token")
        self.count += 1
        if self._in_a_row == 1:
            return Decision(0.0, "at once")
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (self._in_a_row - 2))
        return Decision(delay, f"failure {self._in_a_row} in a row")
