"""SGLang and TensorRT-LLM are kept serving as vLLM is; their stand-ins are lost as real ones were seen to be.

All limits are a twentieth of the real ones.
"""

from __future__ import annotations

import signal
import time
from typing import Any

import httpx
import pytest

from tests.support.launch.asking import Clients
from tests.support.launch.losses import SGLANG, TRTLLM, Loss, is_listening, left_of, names, url_of
from tests.support.launch.machine import Machine
from tests.support.waiting import wait_until

QUICK = (SGLANG[0], TRTLLM[0])
COUNTED = "sglang.args.enable-metrics=true"
LOSSES = [pytest.param(loss, id=str(loss), marks=[] if loss in QUICK else pytest.mark.long) for loss in SGLANG + TRTLLM]


def end(process: Any, seconds: float = 60) -> tuple[str, str]:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err
    return out, err


def begin_serving(keep_server: Any, server: str, behaviour: str, *settings: str) -> tuple[Any, Any, str]:
    process, events = keep_server(server, *settings)(behaviour)
    wait_until(lambda: "serving" in names(events()), 60)
    return process, events, url_of(events())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_server_is_told_ended_whole_and_started_again(keep_server: Any, machine: Machine, loss: Loss) -> None:
    process, events = keep_server(loss.server, *loss.settings, version=loss.version)(f"{loss.behaviour},ok")
    serves = ["start", "serving"]
    expected = [*serves[: 1 if loss.behaviour == "crash" else 2], "lost", "restart", *serves]
    wait_until(lambda: names(events()) == expected, 90)
    end(process)
    found = events()
    assert names(found) == [*expected, "stopped"]
    loss.require_told(next(event for event in found if event["event"] == "lost"))
    assert left_of(machine) == []
    assert not is_listening(url_of(found))


@pytest.mark.long
@pytest.mark.parametrize("server", ["sglang", "trtllm"])
def test_a_slow_start_is_waited_for_and_its_stages_are_told(keep_server: Any, server: str) -> None:
    process, events, _ = begin_serving(keep_server, server, "slow")
    out, _ = end(process)
    assert names(events()) == ["start", "serving", "stopped"]
    stages = [line.partition("] ")[2] for line in out.splitlines() if line.startswith("[")]
    middle = {"sglang": ["compiling", "allotting caches"], "trtllm": ["compiling", "allotting caches"]}[server]
    assert stages == ["loading weights", *middle, "capturing CUDA graphs", "listening", "healthy", "first token"]


@pytest.mark.long
def test_an_sglang_that_refuses_health_under_long_prompts_and_makes_steps_is_well(keep_server: Any) -> None:
    process, events, url = begin_serving(keep_server, "sglang", "busy", COUNTED)
    with Clients(url).asking() as clients:
        # 503 after 20 seconds without output, for longer than what makes one a loss that counts no steps
        wait_until(lambda: httpx.get(f"{url}/health", timeout=30).status_code == 503, 60)
        clients.wait_for("answered")
    end(process)
    assert names(events()) == ["start", "serving", "stopped"]
    assert set(clients.outcomes) <= {"answered"}


@pytest.mark.long
def test_an_sglang_that_drains_takes_requests_and_is_killed_when_its_time_is_over(
    keep_server: Any, machine: Machine
) -> None:
    process, events, url = begin_serving(keep_server, "sglang", "ok")
    began = time.monotonic()
    with Clients(url).asking(6) as clients:  # so many that one always runs
        clients.wait_for("answered")
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{url}/health", timeout=30).status_code == 503, 10)
        clients.wait_for("answered")
        clients.wait_for("refused")
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert time.monotonic() - began >= 600 * 0.05
    assert names(events()) == ["start", "serving", "stopped"]
    assert left_of(machine) == []
    assert clients.outcomes["broken off"] <= 6


@pytest.mark.long
def test_a_tensorrt_server_that_is_told_to_stop_finishes_its_streams(keep_server: Any, machine: Machine) -> None:
    process, events, url = begin_serving(keep_server, "trtllm", "ok")
    with Clients(url).asking() as clients:
        clients.wait_for("answered")
        end(process)
    assert names(events()) == ["start", "serving", "stopped"]
    assert set(clients.outcomes) == {"answered", "refused"}
    assert left_of(machine) == []
