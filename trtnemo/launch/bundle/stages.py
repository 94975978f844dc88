"""What a server is doing while it starts, read off its log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from trtnemo.launch.servers.issue import KnownIssue
from trtnemo.launch.servers.log_stages import STAGES, Stage

KEPT_LINES = 200
SHOWN_LINES = 15


@dataclass
class LogReader:
    """Reads a server's log line by line: the stage it is in, and its last lines.

    `stages` are those of its server, `issues` the known ones of its version; a line is looked at for no other. since:
    when the stage began, on the clock of this machine; seconds: what each one took that is over.
    """

    stages: Sequence[Stage] = STAGES
    issues: Sequence[KnownIssue] = ()
    stage: str = "starting"
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    since: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)

    def read(self, line: str) -> str | None:
        """Take one line; return the stage that it begins, or None while the stage stays."""
        self.lines.append(line)
        names = [stage.name for stage in self.stages if stage.begins_with(line)]
        if not names or names[-1] == self.stage:
            return None
        self._leave()
        self.stage = names[-1]
        return self.stage

    @property
    def in_stage(self) -> float:
        """The seconds that the stage lasts so far."""
        return time.monotonic() - self.since

    def _leave(self) -> None:
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + self.in_stage
        self.since = time.monotonic()

    def whole(self) -> dict[str, float]:
        """Return the seconds of every stage, the one that just ends among them."""
        self._leave()
        return {name: round(seconds, 1) for name, seconds in self.seconds.items()}

    def last_lines(self) -> str:
        """Return the last lines, each indented, for an error that ends the run."""
        shown = list(self.lines)[-SHOWN_LINES:]
        return "\n".join(f"  | {line}" for line in shown)

    def known_issue(self) -> KnownIssue | None:
        """Return the known issue that a line shows, the latest first."""
        return next((issue for line in reversed(self.lines) for issue in self.issues if issue.explains(line)), None)
