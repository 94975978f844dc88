"""When an engine counts as down, and when it is started again."""

from __future__ import annotations

import pytest

from trtnemo.runtime.health import Progress
from trtnemo.runtime.messages import LoopStatistics
from trtnemo.runtime.process.watch import WatchLimits, judge, restart_delay

LIMITS = WatchLimits(silent_seconds=1, stopped_seconds=3, step_seconds=10, failed_steps=3)
IDLE = Progress(LoopStatistics())


@pytest.mark.parametrize(
    ("silent", "progress"),
    [
        (0.9, None),
        (0.9, IDLE),
        (0.9, Progress(LoopStatistics(), busy_seconds=9)),
        (0.1, Progress(LoopStatistics(), failed_steps=2)),
    ],
)
def test_an_engine_that_works_or_waits_is_up(silent: float, progress: Progress | None) -> None:
    assert judge(silent, progress, LIMITS) is None


@pytest.mark.parametrize(
    ("silent", "progress", "reason", "is_final"),
    [
        (1.5, IDLE, "no sign of life for 1.5 seconds", False),
        (3.5, IDLE, "no sign of life for 3.5 seconds", True),
        (0.5, Progress(LoopStatistics(), busy_seconds=9.6), "a step has not ended within 10 seconds", True),
        (0.0, Progress(LoopStatistics(), failed_steps=3), "3 steps failed, one after the other", True),
        (0.0, Progress(LoopStatistics(), failure="the loop ended"), "the loop ended", True),
    ],
)
def test_an_engine_that_hangs_or_fails_is_down(silent: float, progress: Progress, reason: str, is_final: bool) -> None:
    verdict = judge(silent, progress, LIMITS)
    assert verdict is not None
    assert reason in verdict.reason
    assert verdict.is_final is is_final


def test_a_step_may_take_any_time_where_no_bound_is_set() -> None:
    assert judge(0, Progress(LoopStatistics(), busy_seconds=9999), WatchLimits(step_seconds=None)) is None


def test_lives_that_ran_no_step_are_followed_by_longer_pauses_and_others_by_none() -> None:
    assert [restart_delay(count) for count in range(5)] == [0, 0.5, 1, 2, 4]
    assert restart_delay(50) == 30
