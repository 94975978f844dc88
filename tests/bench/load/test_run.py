"""Runs against real servers, sent by guidellm: what is recorded, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.scripted import scripted
from trtnemo.bench.load import guidellm_driver
from trtnemo.bench.load.generator import Generator
from trtnemo.bench.load.observe import Observation
from trtnemo.bench.load.prompts import draw_prompts
from trtnemo.bench.load.record import RunRecord
from trtnemo.bench.load.run import Target, run_load
from trtnemo.bench.load.shape import LoadShape
from trtnemo.bench.load.summary import summarize
from trtnemo.engine import Engine
from trtnemo.errors import MachineError, MeasurementError, ServerError

SHAPE = LoadShape(concurrency=2, requests=6, warmup=2, output_tokens=16, thinking=False)


def test_a_run_records_every_request_and_what_the_server_counted(
    generator: Any, url: str, engine: Any, tmp_path: Path
) -> None:
    record: Any = run_load(generator, Target(url), SHAPE)
    assert [request.status for request in record.requests] == ["ok"] * 8
    assert [request.warmup for request in record.requests] == [True] * 2 + [False] * 6
    assert {request.output_tokens for request in record.requests} == {16}
    for request in record.requests:
        assert request.sent < request.first <= request.answer_first <= request.last <= request.done
        assert request.prompt_tokens > 10
        assert not request.thinking_only
    assert record.counters.drafted_tokens > 0
    assert record.counters.prompt_tokens == sum(request.prompt_tokens for request in record.requests)
    assert (record.server.software, record.server.model) == ("trtnemo", "tiny")
    assert record.server.engine_digest == Engine.open(engine).manifest.digest
    assert record.generator.startswith("guidellm 0.")
    found: Any = summarize(record)
    assert found.requests == 6
    assert 0 < found.acceptance <= 1
    assert found.metrics["itl_p50"] > 0
    record.save(tmp_path / "run")
    assert RunRecord.load(tmp_path / "run") == record


def test_a_prompt_that_comes_again_is_seen_in_the_cache_hits(generator: Any, url: str) -> None:
    shape = SHAPE.model_copy(update={"prompts": "code", "requests": 4, "warmup": 0, "seed": 7})
    for _ in range(2):  # a fresh load is fresh again
        first: Any = summarize(run_load(generator, Target(url), shape))
        assert first.cache_hits < 0.1
    repeated = shape.model_copy(update={"fresh": False})
    run_load(generator, Target(url), repeated)
    again = run_load(generator, Target(url), repeated)
    found: Any = summarize(again)
    assert found.cache_hits > 0.5
    assert all(request.cached_tokens for request in again.requests)


def test_thinking_alone_is_an_answer_and_is_told(generator: Any, url: str) -> None:
    shape = SHAPE.model_copy(
        update={"thinking": True, "output_tokens": SHAPE.output_tokens.model_copy(update={"low": 3, "high": 3})}
    )
    found = summarize(run_load(generator, Target(url), shape))
    assert (found.requests, found.thinking_only) == (6, 6)


def test_tools_are_declared_and_lengths_kept(generator: Any, url: str) -> None:
    plain: Any = run_load(generator, Target(url), SHAPE.model_copy(update={"requests": 2}))
    tools: Any = run_load(generator, Target(url), SHAPE.model_copy(update={"prompts": "tools", "requests": 2}))
    assert min(item.prompt_tokens for item in tools.requests) > 300 > max(item.prompt_tokens for item in plain.requests)
    assert {item.output_tokens for item in tools.requests} == {16}


def test_answers_may_end_by_themselves(generator: Any, url: str) -> None:
    lengths = SHAPE.output_tokens.model_copy(update={"low": 200, "high": 200})
    shape = SHAPE.model_copy(update={"ends_free": True, "output_tokens": lengths})
    found: Any = run_load(generator, Target(url), shape)
    assert {request.status for request in found.requests} == {"ok"}
    assert min(request.output_tokens for request in found.requests) < 200


def test_an_open_load_and_the_completions_endpoint(generator: Any, url: str) -> None:
    shape = LoadShape(rate=20, requests=5, warmup=0, output_tokens={"low": 4, "high": 9}, api="completions")
    record: Any = run_load(generator, Target(url), shape)
    found = sorted(request.output_tokens for request in record.requests)
    assert found == sorted(prompt.output_tokens for prompt in draw_prompts(shape))
    assert len(set(found)) > 1


def test_a_password_in_an_address_is_used_and_not_recorded(generator: Any, url: str) -> None:
    record = run_load(
        generator, Target(url.replace("://", "://user:secret@")), SHAPE.model_copy(update={"requests": 1})
    )
    assert record.server.url == url
    assert "secret" not in record.model_dump_json()


def test_a_wrong_model_and_a_dead_address_are_told_before_anything_is_sent(generator: Any, url: str) -> None:
    with pytest.raises(ServerError, match=r"serves tiny, .*, not gpt-5"):
        run_load(generator, Target(url, "gpt-5"), SHAPE)
    with pytest.raises(ServerError, match="no server answers"):
        run_load(generator, Target("http://127.0.0.1:9"), SHAPE)


def test_a_server_that_answers_nothing_gives_an_error_and_no_numbers(generator: Any) -> None:
    refusal = json.dumps({"error": {"message": "no"}}).encode()
    with (
        scripted(model="broken", status=500, body=refusal) as url,
        pytest.raises(ServerError, match=r"none of 6 requests was answered: .*500"),
    ):
        run_load(generator, Target(url), SHAPE)


def test_a_server_started_anew_is_another_one(engine: Any, server_process: Any) -> None:
    process, url = server_process(engine)
    observation = Observation(url)
    process.terminate()
    process.wait(30)
    port = url.rpartition(":")[2]
    server_process(engine, "--port", port)
    with pytest.raises(ServerError, match="was restarted during the run"):
        observation.difference()


def test_a_clock_that_jumps_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "time", lambda: now[0] + time.monotonic())
    with guidellm_driver.ClockWatch() as calm:
        pass
    with guidellm_driver.ClockWatch() as jumped:
        now[0] = -3.0
    assert abs(calm.worst) < 0.01
    assert jumped.worst == pytest.approx(-3, abs=0.01)


def test_a_run_during_which_the_clock_jumped_is_refused(
    generator: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "_ask", lambda job: {"requests": [], "clock": 0.2})
    with pytest.raises(ServerError, match=r"the clock jumped by 0\.20 s"):
        run_load(generator, Target(url), SHAPE)


def test_a_lost_record_is_measured_again_and_never_passed_over(
    generator: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ask = [], generator._ask

    def lose(job: Any) -> Any:
        answer = ask(job)
        asked.append(job)
        return {**answer, "requests": answer["requests"][1:]} if len(asked) in losing else answer

    monkeypatch.setattr(generator, "_ask", lose)
    losing = {1}
    assert len(run_load(generator, Target(url), SHAPE).requests) == 8
    losing = {3, 4}
    with pytest.raises(MeasurementError, match="guidellm lost the record of 1 of 8 requests"):
        run_load(generator, Target(url), SHAPE)
    assert len(asked) == 4


def test_nothing_that_guidellm_or_its_workers_print_is_taken_for_an_answer() -> None:
    code = """
import os, subprocess
from trtnemo.bench.load.guidellm_driver import private_stdout
answers = private_stdout()
print("noise", flush=True)
os.write(1, b"noise")
subprocess.run(["echo", "noise"], check=True)
print("answer", file=answers, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "answer\n"
    assert done.stderr.count("noise") == 3


def test_without_guidellm_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRTNEMO_BENCH_PYTHON", "/no/such/python")
    with pytest.raises(MachineError, match="/no/such/python, which is not there"), Generator():
        pass


def test_a_load_goes_on_as_long_as_it_is_told(generator: Any, url: str) -> None:
    shape = LoadShape(rate=120, seconds=2, warmup=0, output_tokens=2)  # 64 requests would be sent after half a second
    found = run_load(generator, Target(url), shape)
    assert max(request.sent for request in found.requests) > 0.8
