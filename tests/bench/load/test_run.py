"""Runs against real servers, sent by guidellm: what is recorded, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.plain_generator import PlainGenerator
from tests.support.scripted import scripted
from trtnemo.bench.gate.pairs import AFTER, BEFORE, measure_pairs, read_pairs
from trtnemo.bench.host import Place, build, recipe_digest
from trtnemo.bench.load import guidellm_driver
from trtnemo.bench.load.generator import Generator
from trtnemo.bench.load.observe import Observation
from trtnemo.bench.load.prompts import draw_prompts
from trtnemo.bench.load.record import RUN, RunRecord, find_runs
from trtnemo.bench.load.run import Target, run_load
from trtnemo.bench.load.shape import LoadShape
from trtnemo.bench.load.summary import summarize
from trtnemo.bench.sweep.sweep import NOT_RUN, found_limits, not_run, run_sweep
from trtnemo.bench.sweep.sweep_spec import Limits, SweepSpec
from trtnemo.endpoint import free_port
from trtnemo.engine import Engine
from trtnemo.errors import MachineError, MeasurementError, ServerError, UsageError
from trtnemo.recipe import load_recipe

SHAPE = LoadShape(concurrency=2, requests=6, warmup=2, output_tokens=16, thinking=False)


@pytest.fixture(scope="module")
def generator() -> Iterator[Any]:
    with Generator() as made:
        yield made


@pytest.fixture(scope="module", params=["plain", pytest.param("guidellm", marks=pytest.mark.slow)])
def sender(request: Any) -> Any:
    """Return a generator for tests of what is done with runs, whoever sends them."""
    return PlainGenerator() if request.param == "plain" else request.getfixturevalue("generator")


@pytest.fixture(scope="module")
def engine(make_tiny: Any) -> Any:
    return make_tiny("speculation.draft_tokens=2", "speculation.adaptive=false")


@pytest.fixture(scope="module")
def url(engine: Any, server_process: Any) -> Any:
    return server_process(engine)[1]


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


def test_one_place_is_measured() -> None:
    with pytest.raises(UsageError, match="give one of"):
        Place()
    with pytest.raises(UsageError, match="--set changes a recipe"):
        Place(url="http://x", settings=("a=1",))


def test_a_sweep_goes_on_where_it_stood_and_names_what_cannot_fit(
    sender: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    load = {"requests": 4, "warmup": 0, "output_tokens": 8}
    sizes = {"limits.max_batch_size": [2, 10**9]}
    spec = SweepSpec(recipe="tiny", settings=sizes, load=load, grid={"concurrency": [1, 2]})
    output = tmp_path / "sweep"
    told = []
    found = run_sweep(spec, output, lambda *words: told.append(words), sender)
    assert (found.measured, found.resumed, found.unfit, found.failed) == (2, 0, 2, 0)
    assert told[-1][1:] == (4, 4)
    assert [reason.startswith("cannot fit: ") for _, reason in not_run(output)] == [True, True]
    runs: list[Any] = [RunRecord.load(file.parent) for file in output.rglob("run.json")]
    assert {run.title for run in runs} == {"max_batch_size=2, concurrency=1", "max_batch_size=2, concurrency=2"}
    rates = [summarize(run).metrics["output_tokens_per_second"] for run in runs]
    assert all(0 < rate < run.prediction.tokens_per_second for rate, run in zip(rates, runs, strict=True))
    assert all(run.server.recipe_digest for run in runs)
    again = run_sweep(spec, output, lambda *_: None, sender)
    assert (again.measured, again.resumed, again.unfit, again.failed) == (0, 2, 2, 0)


def test_a_point_that_fails_is_written_down_and_tried_again(
    sender: Any, tmp_path: Path, engine: Any, server_process: Any
) -> None:
    """A server that is there again; and what it gave is not taken for another server's."""
    port = free_port()
    spec = SweepSpec(
        url=f"http://127.0.0.1:{port}", load={"requests": 3, "warmup": 0, "output_tokens": 4, "concurrency": 1}
    )
    assert run_sweep(spec, tmp_path, lambda *_: None, sender).failed == 1
    assert not_run(tmp_path)[0][1].startswith("failed: ")
    server_process(engine, "--port", str(port))
    assert run_sweep(spec, tmp_path, lambda *_: None, sender).measured == 1
    assert not list(tmp_path.rglob(NOT_RUN))
    other = spec.model_copy(update={"url": "http://127.0.0.1:9"})
    assert run_sweep(other, tmp_path, lambda *_: None, sender).failed == 1


def test_half_written_results_are_measured_again(sender: Any, tmp_path: Path, url: str) -> None:
    load = {"requests": 3, "warmup": 0, "output_tokens": 4}
    grid = SweepSpec(url=url, load={**load, "concurrency": 1})
    limits = SweepSpec(url=url, load=load, limits=Limits(ttft_p99=30, most=1))
    for spec in (grid, limits):
        assert run_sweep(spec, tmp_path, lambda *_: None, sender).measured == 1
    for name in ("run.json", "search.json"):
        for file in tmp_path.rglob(name):
            file.write_bytes(file.read_bytes()[:20])
    for spec in (grid, limits):
        assert run_sweep(spec, tmp_path, lambda *_: None, sender).measured == 1
        assert run_sweep(spec, tmp_path, lambda *_: None, sender).resumed == 1
    assert [count for _, count in found_limits(tmp_path)] == [1]


def test_an_engine_is_built_anew_when_the_code_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    digest = recipe_digest(load_recipe("tiny"))
    built = build("tiny", (), digest)
    made = (built / "engine.json").stat().st_ino
    assert (build("tiny", (), digest) / "engine.json").stat().st_ino == made
    built.with_name(f"{built.name}.code").write_text("other code")
    assert (build("tiny", (), digest) / "engine.json").stat().st_ino != made


def test_a_load_goes_on_as_long_as_it_is_told(generator: Any, url: str) -> None:
    shape = LoadShape(rate=120, seconds=2, warmup=0, output_tokens=2)  # 64 requests would be sent after half a second
    found = run_load(generator, Target(url), shape)
    assert max(request.sent for request in found.requests) > 0.8


def test_a_search_keeps_what_it_tried(sender: Any, tmp_path: Path, url: str) -> None:
    load = {"requests": 4, "warmup": 0, "output_tokens": 8}
    spec = SweepSpec(url=url, load=load, limits=Limits(ttft_p99=30, most=2))
    run_sweep(spec, tmp_path, lambda *_: None, sender)
    result = json.loads(next(iter(tmp_path.rglob("search.json"))).read_text())
    assert result["concurrency"] == 2
    assert [count for _, count in found_limits(tmp_path)] == [2]
    stricter = spec.model_copy(update={"limits": Limits(ttft_p99=1e-6, most=2)})
    assert run_sweep(stricter, tmp_path, lambda *_: None, sender).measured == 1  # another limit is another search
    assert sorted(count for _, count in found_limits(tmp_path)) == [0, 2]
    assert len(list(tmp_path.rglob("run.json"))) == 3


def prompts_of(run: Any) -> Any:
    """Return a run's prompts without their marks."""
    return [prompt.text.partition("] ")[2] for prompt in draw_prompts(run.shape, run.nonce)]


def test_two_servers_are_measured_in_turn_with_the_same_prompts(sender: Any, engine: Any, tmp_path: Path) -> None:
    slow = (sys.executable, str(ROOT / "scripts" / "slow_server.py"), "0.05")
    told = []
    places = Place(engine=engine), Place(engine=engine, program=slow)
    shape = SHAPE.model_copy(update={"requests": 2, "warmup": 0})
    measure_pairs(*places, shape, 2, tmp_path, lambda *words: told.append(words), sender)
    assert told[-1] == (4, 4)
    runs = {name: [RunRecord.load(found) for found in find_runs(tmp_path / name)] for name in (BEFORE, AFTER)}
    asked = {name: [prompts_of(run) for run in found] for name, found in runs.items()}
    assert asked[BEFORE] == asked[AFTER]
    assert asked[BEFORE][0] != asked[BEFORE][1]
    # marks of their own, or one server behind two addresses would answer from its cache
    assert len({run.prompts_digest for found in runs.values() for run in found}) == 4
    # whoever went first goes second in the next pair
    starts = sorted((run.started, name) for name, found in runs.items() for run in found)
    assert [name for _, name in starts] in ([AFTER, BEFORE, BEFORE, AFTER], [BEFORE, AFTER, AFTER, BEFORE])
    before, after = read_pairs(tmp_path)
    assert min(run.metrics["itl_p50"] for run in after) > 0.02 > max(run.metrics["itl_p50"] for run in before)


def test_pairs_that_are_kept_are_not_taken_again(sender: Any, url: str, tmp_path: Path) -> None:
    place, shape = Place(url=url), SHAPE.model_copy(update={"requests": 2, "warmup": 0})

    def measure(pairs: Any, **changes: Any) -> Any:
        told = []
        changed = shape.model_copy(update=changes)
        measure_pairs(place, place, changed, pairs, tmp_path / "kept", lambda *words: told.append(words), sender)
        return told

    assert measure(2) == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    kept = {run: (run / RUN).read_bytes() for run in find_runs(tmp_path / "kept")}
    (tmp_path / "kept" / BEFORE / "001" / RUN).write_text("{")  # killed between the two of a pair, or in the middle
    assert [len(side) for side in read_pairs(tmp_path / "kept")] == [1, 1]
    assert measure(3) == [(2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]
    assert measure(3) == [(6, 6)]
    changed = {run for run, text in kept.items() if (run / RUN).read_bytes() != text}
    assert {run.name for run in changed} == {"001"}
    note = next((tmp_path / "kept" / AFTER).rglob(RUN))
    note.write_text(note.read_text().replace('"code_digest": "', '"code_digest": "other'))
    with pytest.raises(UsageError, match="after: holds runs of another server"):
        measure(3)
    with pytest.raises(UsageError, match="holds something else than pairs of these two servers"):
        measure(3, concurrency=1)
    with pytest.raises(UsageError, match="holds something else"):
        measure_pairs(place, Place(recipe="tiny"), shape, 3, tmp_path / "kept", lambda *_: None, sender)


def test_a_word_names_an_address_an_engine_or_a_recipe(engine: Any) -> None:
    assert Place.named("http://127.0.0.1:9") == Place(url="http://127.0.0.1:9")
    assert Place.named(str(engine), program=("other",)) == Place(engine=engine, program=("other",))
    assert Place.named("tiny", settings=("a=1",), program=("other",)) == Place(
        recipe="tiny", settings=("a=1",), program=("other",)
    )
    with pytest.raises(UsageError, match="--set changes a recipe"):
        Place.named(str(engine), settings=("a=1",))
