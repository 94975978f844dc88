"""A gateway before a supervised server: it is there while the server is not, and is closed before the server is."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.launch.machine import Machine, free_port
from tests.support.processes import children_of, is_alive
from tests.support.waiting import wait_until
from trtnemo.endpoint import summed_metrics

ASK = {"model": "nvidia/nemotron-3-super", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
KEY = {"authorization": "Bearer key-of-alice"}


def answers(url: str, status: int, path: str = "/ready") -> bool:
    try:
        return httpx.get(url + path, headers=KEY).status_code == status
    except httpx.HTTPError:
        return False


def key_file(directory: Path) -> str:
    keys = directory / "keys"
    keys.write_text("alice: key-of-alice\n")
    keys.chmod(0o600)
    return str(keys)


def test_a_server_behind_the_door_is_reached_with_a_key_and_counted(keep: Any, machine: Machine) -> None:
    metrics = free_port()
    options = ["--gateway", "--api-key-file", key_file(machine.directory), "--metrics-port", str(metrics)]
    settings = ["--set", "gateway.health_seconds=0.2"]
    process, _ = keep("slow", *options, *settings)
    member = machine.member(process)
    url = member["url"]
    wait_until(lambda: answers(url, 200), 60)
    assert member["server_url"] != url
    assert httpx.post(f"{url}/v1/chat/completions", json=ASK).status_code == 401
    assert httpx.post(f"{url}/v1/chat/completions", json=ASK, headers=KEY).status_code == 200
    os.kill(machine.member(process)["server"], signal.SIGKILL)  # it is gone, and clients are told to come again
    wait_until(lambda: answers(url, 503), 60)
    refused = httpx.post(f"{url}/v1/chat/completions", json=ASK, headers=KEY)
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    wait_until(lambda: answers(url, 200), 60)
    serving = 'trtnemo_supervised_state{state="serving"} 1.0'
    wait_until(lambda: serving in httpx.get(f"{url}/metrics", headers=KEY).text, 60)
    alone = summed_metrics(httpx.get(f"http://127.0.0.1:{metrics}/metrics").text)
    beside = httpx.get(f"{url}/metrics", headers=KEY).text
    assert alone["trtnemo_supervised_restarts_total"] == alone["trtnemo_supervised_losses_total"] == 1
    assert alone["trtnemo_supervised_start_seconds"] > 0
    assert "trtnemo_supervised_restarts_total 1.0" in beside
    assert "trtnemo_gateway_requests_total" in beside
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"Gateway at {url}" in out


@pytest.mark.long
def test_a_door_that_is_lost_is_opened_again(keep: Any, machine: Machine) -> None:
    process, _ = keep("ok", "--gateway", "--set", "gateway.health_seconds=0.2")
    url = machine.member(process)["url"]
    wait_until(lambda: answers(url, 200), 60)
    (door,) = children_of(process.pid, "gateway")
    os.kill(door, signal.SIGKILL)
    wait_until(lambda: not is_alive(door), 30)
    wait_until(lambda: answers(url, 200), 60)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "the gateway ended with exit code -9: it is started again" in out


@pytest.mark.long
def test_a_door_ends_with_its_supervisor_however_that_ends(keep: Any, machine: Machine) -> None:
    process, _ = keep("ok", "--gateway", "--set", "gateway.health_seconds=0.2")
    url = machine.member(process)["url"]
    wait_until(lambda: answers(url, 200), 60)
    (door,) = children_of(process.pid, "gateway")
    process.kill()
    process.communicate()
    wait_until(lambda: not is_alive(door), 30)
    machine.run("stop")


@pytest.mark.long
def test_what_runs_is_finished_before_the_server_is_told_to_end(keep: Any, machine: Machine) -> None:
    process, _ = keep("ok", "--gateway", "--set", "gateway.health_seconds=0.2")
    url = machine.member(process)["url"]
    wait_until(lambda: answers(url, 200), 60)
    with httpx.stream("POST", f"{url}/v1/chat/completions", json={**ASK, "stream": True}, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        process.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_what_cannot_go_together_is_told(machine: Machine, keep: Any) -> None:
    bundle = str(machine.directory / "bundle")
    for words, said in [
        (["--api-key-file", "keys"], "--gateway puts our front before it"),
        (["--set", "gateway.most_requests=2"], "--set gateway.KEY=VALUE goes with --gateway"),
    ]:
        done = machine.run("serve", "--engine", bundle, *words)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    done = machine.run("serve", "--recipe", "tiny", "--gateway")
    assert (done.returncode, "ours has a front of its own" in done.stderr) == (2, True), done.stderr
    process, _ = keep("ok", "--gateway", "--set", "gateway.most_request=2")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "there is no setting 'most_request'" in err) == (7, True), err
