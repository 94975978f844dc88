"""The process that reads long bodies, from its frontend's side."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from trtnemo.errors import BusyError, ConstraintError, PromptTooLongError, ReaderError, RequestError, TrtnemoError
from trtnemo.server.reading.process import MOST_WAITING, ReaderProcess
from trtnemo.server.reading.reading import Ask, Broken, Reading, Refused
from trtnemo.server.reading.worker import reply_to

BODY = b'{"prompt": "Hello"}'
PROMPT = Ask("completion", [BODY[:5], BODY[5:]])
Use = Callable[[ReaderProcess], Coroutine[Any, Any, Any]]


def using(engine: Path, use: Use, **options: Any) -> Any:
    async def run() -> Any:
        reader = ReaderProcess(engine, **options)
        try:
            return await use(reader)
        finally:
            reader.close()
            assert reader.pid is None

    return asyncio.run(run())


def test_it_is_started_by_a_body_and_ends_when_none_comes(tiny_engine: Path) -> None:
    async def use(reader: ReaderProcess) -> None:
        assert reader.pid is None
        first = await reader.read(PROMPT)
        pid = reader.pid
        assert first.prompts == (await reader.read(PROMPT)).prompts
        assert reader.pid == pid
        for _ in range(100):
            await asyncio.sleep(0.05)
            if reader.pid is None:
                break
        assert reader.pid is None
        assert (await reader.read(PROMPT)).prompts == first.prompts

    using(tiny_engine, use, idle_seconds=0.3)


def test_one_that_takes_longer_than_idle_is_read_to_its_end(tiny_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(reader: ReaderProcess) -> Reading:
        exchange = reader._exchange

        async def slowly(ask: Ask) -> Any:
            await asyncio.sleep(0.6)
            return await exchange(ask)

        await reader.read(PROMPT)
        monkeypatch.setattr(reader, "_exchange", slowly)
        pid = reader.pid
        found = await reader.read(PROMPT)
        assert reader.pid == pid
        return found

    assert using(tiny_engine, use, idle_seconds=0.4).prompts


def test_what_goes_on_from_an_earlier_one_is_as_long_as_both() -> None:
    assert Ask("response", [b"ab", b"c"], b"defg").nbytes == 7


def test_bodies_wait_their_turn_and_no_more_than_so_many_of_them(tiny_engine: Path) -> None:
    async def use(reader: ReaderProcess) -> list[Any]:
        asks = [Ask("completion", [json.dumps({"prompt": [number]}).encode()]) for number in range(1, MOST_WAITING + 3)]
        return await asyncio.gather(*map(reader.read, asks), return_exceptions=True)

    found = using(tiny_engine, use)
    assert [reading.prompts for reading in found[:MOST_WAITING]] == [
        [[number]] for number in range(1, MOST_WAITING + 1)
    ]
    assert [type(refusal) for refusal in found[MOST_WAITING:]] == [BusyError, BusyError]


def test_a_body_that_takes_too_long_is_given_up_and_the_next_one_read(tiny_engine: Path) -> None:
    async def use(reader: ReaderProcess) -> Reading:
        with pytest.raises(ReaderError, match="could not be read within"):
            await reader.read(PROMPT)
        reader._most_seconds = 60
        return await reader.read(PROMPT)

    assert using(tiny_engine, use, most_seconds=0.001).prompts


@pytest.mark.parametrize("lost", [1, 2])
def test_a_body_is_read_again_once_whatever_ends_its_process(
    tiny_engine: Path, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    started = []

    async def use(reader: ReaderProcess) -> Reading:
        exchange = reader._exchange

        async def losing(ask: Ask) -> Any:
            await reader._started()
            assert reader._process is not None
            started.append(reader._process.pid)
            if len(started) <= lost:
                reader._process.kill()
            return await exchange(ask) if len(started) > lost else await reader._streams[0].readexactly(1)  # type: ignore

        monkeypatch.setattr(reader, "_exchange", losing)
        return await reader.read(PROMPT)

    if lost == 1:
        assert using(tiny_engine, use).prompts
    else:
        with pytest.raises(ReaderError, match="was lost"):
            using(tiny_engine, use)
    assert len(set(started)) == 2


def test_a_reader_that_is_closed_in_a_body_starts_no_other(tiny_engine: Path) -> None:
    async def use(reader: ReaderProcess) -> None:
        await reader.read(PROMPT)
        os.kill(reader.pid or 0, signal.SIGSTOP)
        waiting = asyncio.ensure_future(reader.read(PROMPT))
        await asyncio.sleep(0.3)
        reader.close()
        with pytest.raises(ReaderError, match="was lost"):
            await waiting
        assert reader.pid is None

    using(tiny_engine, use)


def test_one_who_stops_waiting_takes_nobody_elses_answer(tiny_engine: Path) -> None:
    async def use(reader: ReaderProcess) -> Reading:
        left = asyncio.ensure_future(reader.read(PROMPT))
        await asyncio.sleep(0.05)
        left.cancel()
        return await reader.read(Ask("completion", [b'{"prompt": [7]}']))

    assert using(tiny_engine, use).prompts == [[7]]


def test_refusals_keep_their_kind_parameter_and_advice(tiny_engine: Path) -> None:
    async def use(reader: ReaderProcess) -> list[Any]:
        asks = [b'{"prompt": "%b"}' % (b"a" * 2_000_000), b'{"prompt": [true]}']
        return await asyncio.gather(*(reader.read(Ask("completion", [ask])) for ask in asks), return_exceptions=True)

    long, wrong = using(tiny_engine, use)
    assert (type(long), long.parameter, long.remedy) == (PromptTooLongError, "prompt", "Shorten the prompt")
    assert (type(wrong), wrong.parameter) == (RequestError, "prompt")


def test_an_engine_that_is_gone_is_told_as_a_lost_reader(tmp_path: Path) -> None:
    async def use(reader: ReaderProcess) -> None:
        with pytest.raises(ReaderError, match="was lost"):
            await reader.read(PROMPT)

    using(tmp_path, use)


def test_a_defect_ends_one_body_and_not_the_reader(monkeypatch: pytest.MonkeyPatch, tiny_engine: Path) -> None:
    def broken(*_: Any) -> Reading:
        raise ZeroDivisionError

    monkeypatch.setitem(reply_to.__globals__["READS"], "completion", broken)
    assert isinstance(reply_to(None, "completion", BODY), Broken)  # type: ignore[arg-type]

    def exhausting(*_: Any) -> Reading:
        raise MemoryError

    monkeypatch.setitem(reply_to.__globals__["READS"], "completion", exhausting)
    assert isinstance(reply_to(None, "completion", BODY), Refused)  # type: ignore[arg-type]


def test_only_refusals_are_raised_by_name(tiny_engine: Path) -> None:
    from trtnemo.server.reading.process import _error_of

    assert type(_error_of(Refused("ConstraintError", "no", "schema", None))) is ConstraintError
    for name in ("EngineError", "os", "__builtins__", "TrtnemoError"):
        assert type(_error_of(Refused(name, "no", None, None))) is RequestError
    assert issubclass(RequestError, TrtnemoError)
