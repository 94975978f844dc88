"""What one key may ask for, over a clock of the test's own."""

from __future__ import annotations

import pytest

from trtnemo.front.access.limits import KeyLimits, LimitError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_requests_a_minute_are_given_back_as_time_goes() -> None:
    clock = Clock()
    limits = KeyLimits(requests_per_minute=3, clock=clock)
    for _ in range(3):
        limits.begin("a")
        limits.end("a")
    with pytest.raises(LimitError, match="used up its requests a minute") as caught:
        limits.begin("a")
    assert caught.value.retry_after == 20
    limits.begin("b")  # another key has its own
    clock.now += 20
    limits.begin("a")
    clock.now += 3600
    for _ in range(3):  # never more than a minute's worth at once
        limits.begin("a")
    with pytest.raises(LimitError):
        limits.begin("a")


def test_tokens_that_were_used_are_waited_for() -> None:
    clock = Clock()
    limits = KeyLimits(tokens_per_minute=600, clock=clock)
    limits.begin("a")
    limits.charge("a", 1000)  # an answer's length is not known before
    with pytest.raises(LimitError, match="tokens a minute") as caught:
        limits.begin("a")
    assert caught.value.retry_after == 41
    clock.now += 41
    limits.begin("a")


def test_requests_at_a_time_are_counted_until_they_end() -> None:
    limits = KeyLimits(concurrency=2)
    limits.begin("a")
    limits.begin("a")
    with pytest.raises(LimitError, match="2 requests of this key are running"):
        limits.begin("a")
    limits.end("a")
    limits.begin("a")
