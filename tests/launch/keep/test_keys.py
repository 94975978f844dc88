"""A server that has a key is asked with it, and so is the one behind a gateway."""

from __future__ import annotations

import signal
from typing import Any

import httpx
import pytest

from tests.support.launch.machine import Machine
from tests.support.waiting import wait_until


def test_a_server_with_a_key_is_kept_and_its_key_goes_nowhere_else(keep_server: Any, machine: Machine) -> None:
    machine.environment["VLLM_API_KEY"] = "key-of-theirs"
    keep = keep_server("vllm", "vllm.env.VLLM_API_KEY=null")
    process, events = keep("ok", "--gateway", "--set", "gateway.health_seconds=0.2")
    member = machine.member(process)

    def answered() -> bool:
        try:
            body = {"model": member["model"], "messages": [{"role": "user", "content": "Hi"}]}
            return httpx.post(f"{member['url']}/v1/chat/completions", json=body).status_code == 200
        except httpx.HTTPError:
            return False

    wait_until(answered, 60)
    alone = httpx.post(f"{member['server_url']}/v1/chat/completions", json={})
    assert alone.status_code == 401
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert [event["event"] for event in events() if event["event"] != "drift"] == ["start", "serving", "stopped"]
    assert "key-of-theirs" not in out + err


@pytest.mark.long
def test_a_key_that_nobody_named_is_asked_for_in_words(keep: Any, machine: Machine) -> None:
    machine.environment["VLLM_API_KEY"] = "key-of-theirs"  # in the environment, and not in the recipe
    process, _ = keep("ok", "--restart", "no")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert "name the variable that holds it under 'env' of the recipe" in err
