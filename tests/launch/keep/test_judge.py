"""From what was seen of a server to whether it is lost; times are given."""

from __future__ import annotations

from typing import Any

import pytest

from trtnemo.launch.keep.judge import Counters, Judge
from trtnemo.launch.servers.registry import all_servers
from trtnemo.launch.servers.watch import WITHOUT_A_LIMIT, Watch

WATCH = Watch(refused_seconds=30)


def judge(gpus: int = 1, **changes: Any) -> Judge:
    return Judge(Watch(**{"refused_seconds": 30, **changes}), gpus, 0.0)


def kind(found: Judge, now: float) -> str | None:
    failure = found.failure(now)
    return None if failure is None else failure.kind


def test_health_that_is_refused_for_too_long_is_a_loss_and_a_short_refusal_none() -> None:
    found = judge()
    for now in range(0, 25, 5):
        found.saw_health(now, "503")
    found.saw_health(25, None)
    assert kind(found, 40) is None
    for now in range(40, 75, 5):
        found.saw_health(now, "503")
    assert kind(found, 70) is None
    assert kind(found, 70.1) == "refused"
    failure = found.failure(75)
    assert failure is not None
    assert failure.text == "health has said 503 for 35 s"


def test_a_busy_server_that_refuses_health_and_makes_steps_is_well() -> None:
    found = judge()
    for now in range(0, 300, 5):
        found.saw_health(now, "ReadTimeout")
        found.saw_counters(now, Counters(4, now))
        assert kind(found, now) is None
    for now in range(300, 335, 5):  # the same without steps
        found.saw_health(now, "ReadTimeout")
        found.saw_counters(now, Counters(4, 295))
    assert kind(found, 330) == "refused"


@pytest.mark.parametrize(
    ("gpus", "own", "needs_peers", "expected"),
    [(1, None, True, 120), (8, None, True, 120), (1, 300, True, 120), (8, 300, True, 315), (1, 450, False, 465)],
)
def test_requests_that_run_without_a_step_are_a_loss_after_the_servers_own_limit_or_ours(
    gpus: int, own: float | None, needs_peers: bool, expected: float
) -> None:
    found = judge(gpus, own_stall_seconds=own, stall_needs_peers=needs_peers)
    found.saw_counters(10, Counters(1, 5))
    found.saw_counters(20, Counters(1, 6))
    for now in range(25, 600, 5):
        found.saw_counters(now, Counters(1, 6) if now % 2 else None)  # metrics that hang say nothing new
        assert kind(found, now) == ("stalled" if now - 20 > expected else None)


def test_an_idle_server_never_stalls() -> None:
    found = judge()
    for now in range(0, 1000, 5):
        found.saw_counters(now, Counters(0, 7))
        assert kind(found, now) is None


def test_a_server_started_anew_counts_from_the_beginning() -> None:
    found = judge()
    found.saw_counters(0, Counters(1, 500))
    found.saw_counters(100, Counters(1, 3))  # less than before is a step too
    assert kind(found, 200) is None


def test_two_questions_without_a_token_are_a_loss_and_one_that_waited_for_long() -> None:
    found = judge()
    found.saw_token(30, "status 500")
    assert kind(found, 30) is None
    found.saw_token(35, "status 500")
    assert kind(found, 35) == "mute"
    found = judge()
    for now in range(0, 120, 5):
        found.saw_counters(now, Counters(0, 7))  # an engine that is dead has nothing to run
    found.saw_token(WITHOUT_A_LIMIT, "ReadTimeout", WITHOUT_A_LIMIT)
    assert kind(found, WITHOUT_A_LIMIT) == "mute"


def test_a_refused_question_is_no_loss_while_others_are_answered() -> None:
    found = judge()
    for now in range(0, 100, 5):
        found.saw_counters(now, Counters(3, now))
        found.saw_token(now + 1, "status 503")
        assert kind(found, now + 1) is None


def test_a_question_that_waits_behind_others_is_no_loss_while_they_move() -> None:
    found = judge()
    for now in range(0, 400, 5):
        found.saw_counters(now, Counters(64, now))
        if now % 125 == 120:
            found.saw_token(now, "ReadTimeout", WITHOUT_A_LIMIT)
        assert kind(found, now) is None


def test_a_token_after_a_failure_is_a_new_beginning() -> None:
    found = judge()
    found.saw_token(30, "status 500")
    found.saw_token(35, None)
    found.saw_token(65, "status 500")
    assert kind(found, 66) is None


def test_every_server_says_how_it_is_watched() -> None:
    for name, server in all_servers().items():
        watch = server.watch
        assert watch.running, name
        assert watch.steps, name
        assert watch.metrics, name
        # 30 seconds beyond the server's own limit at most, with what a question takes
        for gpus in (1, 8):
            own = watch.own_stall_seconds if gpus > 1 or not watch.stall_needs_peers else None
            assert watch.stall_seconds(gpus) <= (WITHOUT_A_LIMIT if own is None else own) + 20
