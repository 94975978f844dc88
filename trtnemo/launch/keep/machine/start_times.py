"""How long a bundle's starts took, so that the next one can be told what to expect, and given up when it hangs."""

from __future__ import annotations

import statistics
from contextlib import suppress

import msgspec

from trtnemo.files.state_home import state_home, write_state

_KEPT = 5
_IN_MINUTES = 150.0
# a start is slower than its budget beyond this many times the longest that was seen, and so many seconds more
_TIMES, _MORE = 3.0, 600.0


class Start(msgspec.Struct, frozen=True):
    """One start that came to a token: its seconds, and those of each stage."""

    seconds: float
    stages: dict[str, float] = {}


class StartTimes:
    """The last starts of one bundle, by its digest."""

    def __init__(self, digest: str) -> None:
        self._path = state_home() / "starts" / f"{digest[:32]}.json"
        self._starts: list[Start] = []
        with suppress(OSError, ValueError, msgspec.ValidationError):
            self._starts = msgspec.json.decode(self._path.read_bytes(), type=list[Start])

    @property
    def expected(self) -> float | None:
        """The seconds that a start takes, None where none was seen."""
        return statistics.median(start.seconds for start in self._starts) if self._starts else None

    @property
    def sentence(self) -> str:
        """What to expect, in words; nothing where none was seen."""
        if self.expected is None:
            return ""
        which = "last start" if len(self._starts) == 1 else f"last {len(self._starts)} starts"
        long = f"{self.expected / 60:.0f} minutes" if self.expected > _IN_MINUTES else f"{self.expected:.0f} s"
        return f"; its {which} took about {long}"

    def budget(self, stage: str) -> float | None:
        """Return the seconds that a stage may take, None where it was never seen."""
        seen = [start.stages[stage] for start in self._starts if stage in start.stages]
        return max(seen) * _TIMES + _MORE if seen else None

    def note(self, seconds: float, stages: dict[str, float]) -> None:
        """Keep one more; a disk that is full forgets it."""
        self._starts = [*self._starts, Start(round(seconds, 1), stages)][-_KEPT:]
        write_state(self._path, msgspec.json.encode(self._starts))
