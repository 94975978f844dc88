"""What a server is doing while it starts, read off its log."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from trtnemo.launch.servers.known_issues import Rule

KEPT_LINES = 200
SHOWN_LINES = 15
_STAGES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("downloading", r"download\w*.*(shard|safetensors|checkpoint|file)|Fetching \d+ files"),
        ("loading weights", r"load(ing)?\b.*(weights|checkpoint|safetensors|shard)"),
        ("allotting caches", r"(kv.?cache|mamba|state).*(alloc|block|size|tokens)|memory pool"),
        ("compiling", r"torch\.?compile|autotun\w+|compiling|warm(ing)?.?up"),
        ("capturing CUDA graphs", r"captur\w+.*(graph|batch)|cuda graph.*captur"),
        ("listening", r"uvicorn running|application startup complete|server (is )?started|ready to roll"),
    )
)


@dataclass
class LogReader:
    """Reads a server's log line by line: the stage it is in, and its last lines.

    `rules` are the known issues that its server and version have; a line is looked at for no other.
    """

    rules: Sequence[Rule] = ()
    stage: str = "starting"
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))

    def read(self, line: str) -> str | None:
        """Take one line; return the stage that it begins, or None while the stage stays."""
        self.lines.append(line)
        names = [name for name, pattern in _STAGES if pattern.search(line)]
        if not names or names[-1] == self.stage:
            return None
        self.stage = names[-1]
        return self.stage

    def last_lines(self) -> str:
        """Return the last lines, each indented, for an error that ends the run."""
        shown = list(self.lines)[-SHOWN_LINES:]
        return "\n".join(f"  | {line}" for line in shown)

    def known_issue(self) -> Rule | None:
        """Return the known issue that a line shows, the latest first."""
        return next((rule for line in reversed(self.lines) for rule in self.rules if rule.explains(line)), None)
