"""When a server that was lost is started again."""

from __future__ import annotations

import pytest

from trtnemo.launch.keep.restarts import Mode, Restarts


def after(restarts: Restarts, served: float | None = 60, code: int | None = 1, issue: bool = False) -> float | None:
    return restarts.after(served_seconds=served, code=code, has_remedy=issue).delay


def test_the_first_time_at_once_then_later_and_later() -> None:
    restarts = Restarts("on-failure")
    assert [after(restarts) for _ in range(8)] == [0, 30, 60, 120, 240, 480, 600, 600]
    assert restarts.count == 8
    assert after(restarts, 1801) == 0  # it served for long: what was before is forgotten
    assert after(restarts) == 30


@pytest.mark.parametrize("code", [0, 1, 137, None])
def test_whatever_it_ended_with_is_a_failure(code: int | None) -> None:
    assert after(Restarts("on-failure"), 60, code) == 0


@pytest.mark.parametrize(("mode", "expected"), [("on-failure", [0, 30, None]), ("always", [0, 30, 60])])
def test_three_starts_without_a_token_are_given_up(mode: Mode, expected: list[float | None]) -> None:
    restarts = Restarts(mode)
    assert [after(restarts, None) for _ in range(3)] == expected


def test_a_start_that_gave_a_token_counts_no_more_against_it() -> None:
    restarts = Restarts("on-failure")
    for served in (None, None, 5, None, None):
        assert after(restarts, served) is not None


@pytest.mark.parametrize("reason", [{"code": 2}, {"issue": True}])
def test_what_would_come_again_is_given_up_at_once(reason: dict[str, int]) -> None:
    assert after(Restarts("on-failure"), None, **reason) is None  # type: ignore[arg-type]
    assert after(Restarts("always"), None, **reason) == 0  # type: ignore[arg-type]
    assert after(Restarts("on-failure"), 60, **reason) == 0  # type: ignore[arg-type]


def test_no_means_never() -> None:
    decision = Restarts("no").after(served_seconds=60, code=0, has_remedy=False)
    assert (decision.restarts, decision.why) == (False, "--restart no")
