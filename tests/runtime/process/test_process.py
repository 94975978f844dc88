"""A real engine in a process of its own: killed, stopped, failing, hanging, and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from trtnemo.errors import EngineError, EngineUnavailableError
from trtnemo.runtime import EngineClient, SamplingParams
from trtnemo.runtime.messages import Event, Failed, Finished, TokenGenerated
from trtnemo.runtime.process import EngineProcess, WatchLimits

LONG = SamplingParams(temperature=0, max_tokens=400, ignore_eos=True)
SHORT = SamplingParams(temperature=0, max_tokens=6, ignore_eos=True)
PROMPT = (5, 6, 7, 8)
FAULTY_WORKER = Path(__file__).parents[2] / "support" / "faulty_worker.py"


def run(line: EngineProcess, work: Callable[[EngineClient], Awaitable[None]]) -> None:
    """Do some work with an engine under supervision."""

    async def supervised() -> None:
        client = EngineClient(line, frozenset())
        task = asyncio.ensure_future(line.supervise())
        try:
            await asyncio.wait_for(work(client), 60)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    try:
        line.load()
        asyncio.run(supervised())
    finally:
        line.close()


async def ask(client: EngineClient, params: SamplingParams = SHORT) -> list[Event]:
    """Return all events of a request."""
    events: asyncio.Queue[Event] = asyncio.Queue()
    client.submit(client.check(PROMPT, params), events.put_nowait)
    read: list[Event] = []
    while not read or not isinstance(read[-1], (Finished, Failed)):
        read.append(await events.get())
    return read


def tokens(events: list[Event]) -> list[int]:
    return [event.token_id for event in events if isinstance(event, TokenGenerated)]


async def until(condition: Callable[[], bool], seconds: float = 45) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("number", "limits"),  # tight ones only where they are what is waited for: a busy machine is silent for seconds
    [(signal.SIGKILL, WatchLimits(stopped_seconds=30)), (signal.SIGSTOP, WatchLimits(stopped_seconds=3))],
    ids=["SIGKILL", "SIGSTOP"],
)
def test_a_lost_engine_ends_what_ran_and_is_there_again(
    make_engine: Any, number: signal.Signals, limits: WatchLimits
) -> None:
    line = EngineProcess(make_engine("bf16"), limits=limits)
    before = descriptors()

    async def work(client: EngineClient) -> None:
        expected = tokens(await ask(client))
        running = [asyncio.ensure_future(ask(client, LONG)) for _ in range(8)]
        await until(lambda: client.statistics.running > 0)
        lost = line.pid
        os.kill(lost, number)
        for events in await asyncio.gather(*running):
            assert isinstance(events[-1], Failed)
            assert events[-1].is_lost
        assert not client.health.is_up
        with pytest.raises(EngineUnavailableError, match="the engine is not running"):
            await ask(client)
        await until(lambda: client.health.is_up)
        assert client.health.restarts == 1
        assert line.pid != lost
        assert not Path(f"/proc/{lost}").exists()
        assert tokens(await ask(client)) == expected
        # counters never go back, whatever life counted
        assert client.statistics.generated_tokens >= 2 * len(expected)
        assert client.statistics.running == 0

    run(line, work)
    assert descriptors() <= before


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raises", " steps failed, one after the other"),
        ("hangs", "a step has not ended within 1.5 seconds"),
        ("ends-the-loop", "MemoryError: no more"),
    ],
)
def test_an_engine_that_fails_every_step_or_never_ends_one_is_started_again(
    make_engine: Any, tmp_path: Path, fault: str, reason: str
) -> None:
    flag = tmp_path / "flag"
    program = (sys.executable, str(FAULTY_WORKER), fault, str(flag))
    limits = WatchLimits(step_seconds=1.5 if fault == "hangs" else 60, failed_steps=2)
    line = EngineProcess(make_engine("bf16"), limits=limits, program=program)

    async def work(client: EngineClient) -> None:
        expected = tokens(await ask(client))
        flag.touch()
        failed = [events[-1] for events in await asyncio.gather(*(ask(client, LONG) for _ in range(8)))]
        while client.health.is_up:  # a step that raises fails its own requests first
            try:
                failed.append((await ask(client))[-1])
            except EngineUnavailableError:
                break
        assert all(isinstance(event, Failed) for event in failed)
        await until(lambda: not client.health.is_up)
        assert reason in client.health.reason
        flag.unlink()
        await until(lambda: client.health.is_up)
        assert tokens(await ask(client)) == expected

    run(line, work)


def test_an_engine_that_cannot_be_loaded_says_why(make_engine: Any, tmp_path: Path) -> None:
    line = EngineProcess(tmp_path / "nowhere")
    with pytest.raises(EngineError, match="nowhere"):
        line.load()
    line.close()
    program = (sys.executable, "-c", "import os; os.abort()")
    line = EngineProcess(make_engine("bf16"), program=program)
    with pytest.raises(EngineError, match="was ended by SIGABRT while it was loading"):
        line.load()
    line.close()


def test_the_process_ends_with_its_line(make_engine: Any) -> None:
    line = EngineProcess(make_engine("bf16"))
    line.load()
    pid = line.pid
    line.close()
    assert not Path(f"/proc/{pid}").exists()


def test_a_line_that_was_never_started_can_be_closed(tmp_path: Path) -> None:
    line = EngineProcess(tmp_path)
    with pytest.raises(EngineError, match="not loaded yet"):
        _ = line.budget
    line.close()
