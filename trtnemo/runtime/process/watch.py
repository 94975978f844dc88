"""When an engine's process counts as down, and when it is to be started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from trtnemo.runtime.health import Progress


@dataclass(frozen=True)
class WatchLimits:
    """Seconds and counts that an engine may reach.

    silent_seconds: without a sign of life, until requests are refused; stopped_seconds: until it is killed;
    step_seconds: for one step, None for any; failed_steps: one after the other.
    """

    silent_seconds: float = 1.2
    stopped_seconds: float = 5.0
    step_seconds: float | None = 60.0
    failed_steps: int = 3


class Verdict(NamedTuple):
    """Why an engine is down, and whether it is beyond hope."""

    reason: str
    is_final: bool


def judge(silent: float, progress: Progress | None, limits: WatchLimits) -> Verdict | None:
    """Return what is wrong with an engine that has been silent for so many seconds, or None."""
    if progress is not None:
        busy = progress.busy_seconds + silent if progress.busy_seconds else 0.0
        if limits.step_seconds is not None and busy > limits.step_seconds:
            return Verdict(f"a step has not ended within {limits.step_seconds:g} seconds", True)
        if progress.failed_steps >= limits.failed_steps:
            return Verdict(f"{progress.failed_steps} steps failed, one after the other", True)
        if progress.failure is not None:
            return Verdict(progress.failure, True)
    if silent > limits.silent_seconds:
        return Verdict(f"it has given no sign of life for {silent:.1f} seconds", silent > limits.stopped_seconds)
    return None


def restart_delay(useless_lives: int) -> float:
    """Return the seconds to wait before the next start, after so many lives that ran no step."""
    return 0.0 if useless_lives == 0 else min(30.0, 0.5 * 2.0 ** (useless_lives - 1))
