"""Sweeps and searches over a real server: what is measured, what goes on, what is done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trtnemo.bench.host import Place, build, recipe_digest
from trtnemo.bench.load.record import RunRecord
from trtnemo.bench.load.summary import summarize
from trtnemo.bench.sweep.sweep import NOT_RUN, found_limits, limits_of, not_run, run_sweep
from trtnemo.bench.sweep.sweep_spec import Limits, SweepSpec
from trtnemo.endpoint import free_port
from trtnemo.errors import UsageError
from trtnemo.recipe import load_recipe


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


def test_a_search_keeps_what_it_tried(sender: Any, tmp_path: Path, url: str) -> None:
    load = {"requests": 4, "warmup": 0, "output_tokens": 8}
    spec = SweepSpec(url=url, load=load, limits=Limits(ttft_p99=30, most=2))
    run_sweep(spec, tmp_path, lambda *_: None, sender)
    result = json.loads(next(iter(tmp_path.rglob("search.json"))).read_text())
    assert result["concurrency"] == 2
    assert [count for _, count in found_limits(tmp_path)] == [2]
    assert limits_of(tmp_path) == {"ttft_p99": 30}
    stricter = spec.model_copy(update={"limits": Limits(ttft_p99=1e-6, most=2)})
    assert run_sweep(stricter, tmp_path, lambda *_: None, sender).measured == 1  # another limit is another search
    assert sorted(count for _, count in found_limits(tmp_path)) == [0, 2]
    assert limits_of(tmp_path) == {}  # no longer one answer
    assert len(list(tmp_path.rglob("run.json"))) == 3
