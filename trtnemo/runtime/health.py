"""Whether an engine runs sequences, and what it does at this moment."""

from __future__ import annotations

import msgspec

from trtnemo.runtime.messages import LoopStatistics


class Health(msgspec.Struct, frozen=True):
    """Whether requests are run now, and if not, why; `restarts` counts the engine's lives after the first."""

    is_up: bool
    reason: str = ""
    restarts: int = 0


UP = Health(True)


class Progress(msgspec.Struct, frozen=True, tag=True):
    """What an engine loop does at this moment.

    busy_seconds: how long its present step has been running; failed_steps: that failed since one worked; failure: why
    the loop has ended, where it has.
    """

    statistics: LoopStatistics
    busy_seconds: float = 0.0
    failed_steps: int = 0
    failure: str | None = None
