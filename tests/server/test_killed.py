"""The engine's process killed under load, again and again: every client is told, and the server is there again."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

ASK = {"prompt": "Hello", "max_tokens": 4000, "ignore_eos": True, "stream": True, "temperature": 0}
CANARY = {"prompt": "The capital of Japan", "max_tokens": 12, "temperature": 0}


def engine_of(process: Any) -> int:
    """Return the pid of a server's engine."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            arguments = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields["PPid"]) == process.pid and b"runtime.process.worker" in arguments:
            return int(fields["Pid"])
    return 0


def descriptors(process: Any) -> int:
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def shared_memory(process: Any) -> list[str]:
    """Return the shared memory that a server holds open."""
    links = [os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir() if link.is_symlink()]
    return [link for link in links if link.startswith("/dev/shm")]


def stream(url: str, ends: list[str]) -> None:
    """Read a stream to its end and note the last thing that it said before it was done."""
    try:
        with httpx.stream("POST", f"{url}/v1/completions", json=ASK, timeout=60) as response:
            if response.status_code != 200:
                response.read()
                ends.append(response.text)
                return
            lines = [line for line in response.iter_lines() if line.startswith("data: ")]
        ends.append(lines[-2] if lines[-1] == "data: [DONE]" else f"no end: {lines[-1]}")
    except httpx.HTTPError as error:
        ends.append(f"no answer: {error!r}")


def wait_for(url: str, status: int, seconds: float) -> float:
    """Wait until /health has a status, and return how long that took."""
    began = time.monotonic()
    while httpx.get(f"{url}/health", timeout=5).status_code != status:
        assert time.monotonic() - began < seconds, f"/health was not {status} within {seconds} seconds"
        time.sleep(0.02)
    return time.monotonic() - began


def kill_once(process: Any, url: str, number: int, how: signal.Signals) -> None:
    ends: list[str] = []
    threads = [threading.Thread(target=stream, args=(url, ends)) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(random.Random(number).uniform(0.0, 0.4))
    lost = engine_of(process)
    os.kill(lost, how)
    wait_for(url, 503, 2.0)
    wait_for(url, 200, 10.0)
    for thread in threads:
        thread.join(60)
    assert len(ends) == 8
    told = [json.loads(end.removeprefix("data: ")) for end in ends]
    assert all("engine" in item["error"]["message"] for item in told if "error" in item), ends
    assert any("error" in item for item in told)
    assert not Path(f"/proc/{lost}").exists()


@pytest.mark.parametrize(
    "times", [pytest.param(2, id="twice"), pytest.param(20, marks=pytest.mark.long, id="twenty times")]
)
def test_an_engine_that_is_killed_under_load_comes_back(tiny_engine: Any, server_process: Any, times: int) -> None:
    process, url = server_process(tiny_engine)
    expected = httpx.post(f"{url}/v1/completions", json=CANARY, timeout=30).json()["choices"][0]["text"]
    counts = []
    for number in range(times):
        kill_once(process, url, number, signal.SIGSTOP if number % 5 == 1 else signal.SIGKILL)
        said = httpx.post(f"{url}/v1/completions", json=CANARY, timeout=30).json()["choices"][0]["text"]
        assert said == expected
        time.sleep(0.3)
        counts.append(descriptors(process))
    assert counts[-1] <= counts[0] + 2
    assert shared_memory(process) == []
    metrics = httpx.get(f"{url}/metrics").text
    (restarts,) = [line for line in metrics.splitlines() if line.startswith("trtnemo_engine_restarts_total")]
    assert float(restarts.split()[1]) >= times  # more where a busy machine kept the engine from its signs of life
    assert "trtnemo_running_requests 0.0" in metrics
