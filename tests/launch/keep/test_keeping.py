"""A server that is lost is seen, told, ended whole and started again; stand-ins are lost as real ones were seen to be.

All limits are a twentieth of the real ones.
"""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from tests.support.launch.machine import Machine
from tests.support.processes import is_alive
from tests.support.waiting import wait_until

LOSSES = [
    ("clean", "ended", "ended by itself with exit code 0"),
    # what each of them shows is held by tests of one file too
    pytest.param("orphaned", "ended", "ended by itself with exit code -9", marks=pytest.mark.long),
    pytest.param("dead", "refused", "health has said 503 for", marks=pytest.mark.long),
    ("stalled", "stalled", "1 request runs, and no step was counted for"),
    ("silent", "mute", "health is open, and a question got no token: status 500"),
]


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events if event["event"] != "drift"]


@pytest.mark.parametrize(("behaviour", "kind", "text"), LOSSES)
def test_a_lost_server_is_told_and_started_again(keep: Any, behaviour: str, kind: str, text: str) -> None:
    process, events = keep(f"{behaviour},ok")
    wait_until(lambda: names(events()).count("serving") == 2, 60)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found = events()
    assert names(found) == ["start", "serving", "lost", "restart", "start", "serving", "stopped"]
    lost = next(event for event in found if event["event"] == "lost")
    assert lost["kind"] == kind
    assert text in lost["text"]
    assert "Uvicorn running" in lost["log"]
    assert f"lost: the server: {text}" in out
    for event in found:
        assert "pid" not in event or not is_alive(event["pid"])
    ranks = [int(line.split()[1]) for line in err.splitlines() if line.startswith("rank ")]
    assert len(ranks) == (behaviour == "orphaned")
    assert not any(map(is_alive, ranks))


def test_a_server_that_never_gives_a_token_is_given_up(keep: Any) -> None:
    process, events = keep("crash")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert names(events()) == ["start", "lost", "restart", "start", "lost", "restart", "start", "lost", "gave up"]
    assert events()[-1]["text"] == "giving up: 3 starts failed before the first token"
    assert "ended during start with exit code 1" in err


def test_what_its_log_explains_is_not_tried_again(keep: Any) -> None:
    process, events = keep("refused")
    process.communicate(timeout=60)
    assert process.returncode == 7
    assert names(events()) == ["start", "lost", "gave up"]
    assert events()[-1]["text"] == "giving up: it refused its command line, and would again"


def test_a_signal_while_it_waits_to_start_again_ends_it(keep: Any) -> None:
    process, events = keep("crash", "--restart", "always")
    wait_until(lambda: names(events()).count("restart") == 2, 60)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_second_signal_kills_a_server_that_drains(keep: Any) -> None:
    process, events = keep("deaf")
    wait_until(lambda: "serving" in names(events()), 60)
    pid = events()[-1]["pid"]
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not is_alive(pid)


def test_events_that_cannot_be_written_end_nothing(keep: Any) -> None:
    process, _ = keep("ok", "--events", "/dev/full")
    for line in process.stdout:
        if line.startswith("Serving"):
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert err.count("events cannot be written to /dev/full: No space left on device") == 1


def test_a_scale_that_is_none_is_refused(keep: Any, machine: Machine) -> None:
    machine.environment["TRTNEMO_TIME_SCALE"] = "0"
    process, _ = keep("ok")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "TRTNEMO_TIME_SCALE is a number above 0 and at most 1" in err
