"""Ten lives of every kind of failure, of every server, while clients ask without pause: none of them is left waiting,
or takes for an answer what is none.

All limits are a twentieth of the real ones. A test sees two lives of the ten, because each loss is waited for longer.
"""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.support.launch.asking import Clients
from tests.support.launch.losses import SGLANG, TRTLLM, VLLM, Loss, is_listening, left_of, names, url_of
from tests.support.launch.machine import Machine
from tests.support.waiting import wait_until

LIVES, SUPERVISORS = 2, 5


@pytest.mark.long
@pytest.mark.parametrize("supervisor", range(SUPERVISORS))
@pytest.mark.parametrize("loss", [pytest.param(loss, id=str(loss)) for loss in VLLM + SGLANG + TRTLLM])
def test_no_request_is_silently_lost_while_a_server_is_lost(
    keep_server: Any, machine: Machine, loss: Loss, supervisor: int
) -> None:
    begin = keep_server(loss.server, *loss.settings, version=loss.version)
    process, events = begin(",".join([loss.behaviour] * LIVES + ["ok"]), "--restart", "always")
    wait_until(events, 60)
    with Clients(url_of(events())).asking() as clients:
        wait_until(lambda: process.poll() is not None or _has_recovered(events()), 100)
        if process.poll() is None:
            clients.wait_for("answered")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    print(f"{loss}: {dict(sorted(clients.outcomes.items()))}")
    assert process.returncode == 0, err
    _require_whole(events(), loss)
    assert left_of(machine) == []
    assert not is_listening(url_of(events()))
    assert clients.outcomes["lost"] == clients.outcomes["hung"] == 0, clients.outcomes
    assert {name for name in clients.outcomes if name.startswith("status ")} <= {"status 500", "status 503"}


def _has_recovered(events: list[dict[str, Any]]) -> bool:
    return names(events).count("lost") == LIVES and names(events)[-1] == "serving"


def _require_whole(events: list[dict[str, Any]], loss: Loss) -> None:
    served = [] if loss.behaviour == "crash" else ["serving"]
    assert names(events) == ["start", *served, "lost", "restart"] * LIVES + ["start", "serving", "stopped"]
    for event in events:
        if event["event"] == "lost":
            loss.require_told(event)
