"""Searches and sweeps over servers that keep a limit, break or die, with runs made by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.records import request, run_record
from trtnemo.bench.folder import held
from trtnemo.bench.load.record import RunRecord
from trtnemo.bench.load.summary import Summary
from trtnemo.bench.sweep import search as search_module
from trtnemo.bench.sweep import sweep as sweep_module
from trtnemo.bench.sweep.search import keeps, search
from trtnemo.bench.sweep.sweep import found_limits, not_run, run_sweep
from trtnemo.bench.sweep.sweep_spec import Limits, SweepSpec, points
from trtnemo.errors import MachineError, RecipeError, ServerError, UnansweredError, UsageError

SENDER: Any = SimpleNamespace()  # which nothing calls: the server here answers what is sent


def summary(lost: Any = 0, **metrics: Any) -> Any:
    given = dict.fromkeys(("requests", "failed", "unfinished", "empty", "thinking_only"), 1)
    rest: dict[str, Any] = {"seconds": 1.0, "acceptance": None, "tokens_per_verification": None, "cache_hits": None}
    return Summary(**given, **rest, lost=lost, metrics=metrics)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (summary(ttft_p99=0.5, itl_p90=0.1), True),  # at the limit
        (summary(ttft_p99=0.51, itl_p90=0.1), False),
        (summary(ttft_p99=0.5, itl_p90=0.11), False),
        (summary(ttft_p99=0.5), False),  # one that was not measured
        (summary(ttft_p99=0.1, itl_p90=0.1, lost=1), False),
    ],
)
def test_a_run_keeps_its_limits_or_does_not(found: Any, expected: bool) -> None:
    assert keeps(Limits(ttft_p99=0.5, itl_p90=0.1), found) is expected


class Server:
    """Answers within a tenth of a second up to `limit` streams; `loads` are those that were sent."""

    def __init__(self, limit: Any = 5, alive: Any = True) -> None:
        self.limit, self.alive = limit, alive
        self.loads: list[Any] = []
        self.titles: list[Any] = []

    def run(self, generator: Any, target: Any, shape: Any, predict: Any) -> Any:
        self.loads.append((shape.concurrency, shape.requests))
        first = 0.1 if shape.concurrency <= self.limit else 9.0
        return run_record([request(0, sent=0.0, first=first)], shape=shape)

    def server(self) -> None:
        if not self.alive:
            raise ServerError("no server answers")


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(**settings: Any) -> Any:
        server = Server(**settings)
        monkeypatch.setattr(search_module, "run_load", lambda *given: server.run(*given))
        monkeypatch.setattr(sweep_module, "run_load", lambda *given: server.run(*given))
        return server, SimpleNamespace(target=server, predict=None)

    return make


def point(**load: Any) -> Any:
    return points(SweepSpec(url="http://x", limits=Limits(ttft_p99=0.2), load=load))[0]


def test_a_search_keeps_every_load_and_writes_what_it_found(hosted: Any, tmp_path: Path) -> None:
    server, target = hosted(limit=5)
    limits = Limits(ttft_p99=0.2, most=64)
    assert search(limits, point(requests=10), SENDER, target, tmp_path / "p") == 5
    assert server.loads == [(1, 10), (2, 10), (4, 12), (8, 24), (6, 18), (5, 15)]
    found = json.loads((tmp_path / "p" / "search.json").read_text())
    assert found == {"title": "chat, concurrency 1", "concurrency": 5, "limits": {"ttft_p99": 0.2}}
    assert sorted(entry.name for entry in (tmp_path / "p").iterdir()) == [
        *(f"concurrency-{count:04}" for count in (1, 2, 4, 5, 6, 8)),
        "search.json",
    ]
    kept = RunRecord.load(tmp_path / "p" / "concurrency-0004")
    assert (kept.title, kept.shape.concurrency) == ("chat, concurrency 1, concurrency=4", 4)


def test_a_search_goes_on_with_the_loads_that_an_earlier_one_left(hosted: Any, tmp_path: Path) -> None:
    server, target = hosted(limit=5)
    limits = Limits(ttft_p99=0.2, most=64)
    search(limits, point(), SENDER, target, tmp_path)
    (tmp_path / "concurrency-0004" / "run.json").write_text("{")  # half-written: measured again
    server.loads.clear()
    assert search(limits, point(), SENDER, target, tmp_path) == 5
    assert [count for count, _ in server.loads] == [4]


@pytest.mark.parametrize(("limit", "most", "found"), [(0, 8, 0), (1, 8, 1), (99, 8, 8), (99, 1, 1)])
def test_a_search_finds_nothing_one_or_all(hosted: Any, tmp_path: Path, limit: int, most: int, found: int) -> None:
    _, target = hosted(limit=limit)
    assert search(Limits(ttft_p99=0.2, most=most), point(), SENDER, target, tmp_path) == found


def test_a_server_that_dies_ends_a_search_and_no_limit_is_written(
    hosted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, target = hosted(alive=False)

    def unanswered(*given: Any) -> None:
        raise UnansweredError("none of 9 requests was answered")

    monkeypatch.setattr(search_module, "run_load", unanswered)
    with pytest.raises(ServerError, match="no server answers"):
        search(Limits(ttft_p99=0.2), point(), SENDER, target, tmp_path / "p")
    assert not (tmp_path / "p" / "search.json").exists()
    target.target.alive = True
    assert search(Limits(ttft_p99=0.2), point(), SENDER, target, tmp_path / "p") == 0


@pytest.fixture
def swept(hosted: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that runs a sweep over the server, and the places where one was begun."""
    server, target = hosted(limit=5)
    places, said = [], []

    @contextmanager
    def host(place: Any) -> Iterator[Any]:
        places.append(place)
        server.server()
        yield target

    monkeypatch.setattr(sweep_module, "host", host)
    monkeypatch.setattr(sweep_module, "_why_not", lambda spec, settings: None)

    def run(spec: Any) -> Any:
        return run_sweep(spec, tmp_path / "out", lambda *what: said.append(what), SENDER)

    made: Any = run
    made.server, made.places, made.said, made.output = server, places, said, tmp_path / "out"
    return made


SPEC = SweepSpec(recipe="tiny", settings={"speculation.draft_tokens": [0, 3]}, grid={"concurrency": [1, 2]}, devices=2)


def counts(summary: Any) -> Any:
    return summary.measured, summary.resumed, summary.unfit, summary.failed


def test_each_setting_has_one_server_and_each_point_a_run(swept: Any) -> None:
    assert counts(swept(SPEC)) == (4, 0, 0, 0)
    assert [(place.recipe, place.settings, place.devices) for place in swept.places] == [
        ("tiny", ("speculation.draft_tokens=0",), 2),
        ("tiny", ("speculation.draft_tokens=3",), 2),
    ]
    titles = {RunRecord.load(swept.output / point.name).title for point in points(SPEC)}
    assert titles == {f"draft_tokens={drafts}, concurrency={count}" for drafts in (0, 3) for count in (1, 2)}
    assert swept.said[-1] == ("", 4, 4)
    assert ("draft_tokens=3, concurrency=1", 2, 4) in swept.said
    assert ("starting the server", 0, 4) in swept.said


def test_what_is_done_stays_done_and_what_is_half_done_is_not(swept: Any) -> None:
    swept(SPEC)
    first = points(SPEC)[0]
    (swept.output / first.name / "run.json").write_text("{")
    swept.places.clear()
    swept.server.loads.clear()
    assert counts(swept(SPEC)) == (1, 3, 0, 0)
    assert [place.settings for place in swept.places] == [first.settings]
    assert swept.server.loads == [(1, 64)]
    swept.places.clear()
    assert counts(swept(SPEC)) == (0, 4, 0, 0)
    assert swept.places == []


def test_a_server_that_does_not_start_fails_its_points_and_the_next_run_tries_them_again(swept: Any) -> None:
    swept.server.alive = False
    assert counts(swept(SPEC)) == (0, 0, 0, 4)
    assert [reason for _, reason in not_run(swept.output)] == ["failed: no server answers"] * 4
    assert len(swept.places) == 2
    swept.server.alive = True
    assert counts(swept(SPEC)) == (4, 0, 0, 0)
    assert not_run(swept.output) == []


def test_a_point_that_fails_does_not_fail_the_others_of_its_server(swept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = swept.server.run

    def broken(generator: Any, target: Any, shape: Any, predict: Any) -> Any:
        if shape.concurrency == 1:
            raise UnansweredError("none of 9 requests was answered")
        return run(generator, target, shape, predict)

    swept.server.run = broken
    assert counts(swept(SPEC)) == (2, 0, 0, 2)
    assert {title for title, _ in not_run(swept.output)} == {f"draft_tokens={n}, concurrency=1" for n in (0, 3)}


@pytest.mark.parametrize("error", [RecipeError("contradicts itself"), MachineError("no GPU")])
def test_what_is_no_servers_failure_ends_the_sweep(swept: Any, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    @contextmanager
    def host(place: Any) -> Iterator[Any]:
        raise error
        yield

    monkeypatch.setattr(sweep_module, "host", host)
    with pytest.raises(type(error)):
        swept(SPEC)


def test_what_cannot_fit_is_written_down_and_not_tried(swept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    why = {("speculation.draft_tokens=0",): "does not fit"}
    monkeypatch.setattr(sweep_module, "_why_not", lambda spec, settings: why.get(settings))
    assert counts(swept(SPEC)) == (2, 0, 2, 0)
    assert len(swept.places) == 1
    assert [reason for _, reason in not_run(swept.output)] == ["cannot fit: does not fit"] * 2


def test_searches_of_a_sweep_are_told_and_resumed(swept: Any) -> None:
    spec = SweepSpec(url="http://x", limits=Limits(ttft_p99=0.2), grid={"output_tokens": [4, 8]})
    assert counts(swept(spec)) == (2, 0, 0, 0)
    assert sorted(found_limits(swept.output)) == [("output_tokens=4", 5), ("output_tokens=8", 5)]
    assert counts(swept(spec)) == (0, 2, 0, 0)
    name = points(spec)[0].name
    for text in ("{", "{}"):
        (swept.output / name / "search.json").write_text(text)
        assert counts(swept(spec)) == (1, 1, 0, 0)


def test_a_second_writer_is_kept_out(swept: Any) -> None:
    with held(swept.output), pytest.raises(UsageError, match="another command is writing here"):
        swept(SPEC)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (SimpleNamespace(verdict=SimpleNamespace(kind="no", sentence="does not fit")), "does not fit"),
        (SimpleNamespace(verdict=SimpleNamespace(kind="starts", sentence="starts")), None),
        (RecipeError("contradicts itself"), "contradicts itself"),
        (MachineError("nothing known"), None),
    ],
)
def test_a_plan_says_why_a_setting_cannot_fit(
    monkeypatch: pytest.MonkeyPatch, found: Any, expected: str | None
) -> None:
    def plan(loaded: Any) -> Any:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(sweep_module, "plan_of", plan)
    assert sweep_module._why_not(SPEC, ()) == expected
    assert sweep_module._why_not(SweepSpec(url="http://x", load={"concurrency": 1}), ()) is None
