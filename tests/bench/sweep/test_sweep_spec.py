"""Specs: what is no sweep is refused before anything starts; points keep their names."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.records import request, run_record
from trtnemo.bench.load.summary import summarize
from trtnemo.bench.sweep import search as search_module
from trtnemo.bench.sweep.search import keeps, largest
from trtnemo.bench.sweep.sweep_spec import Limits, SweepSpec, load_spec, points, require_recipes
from trtnemo.errors import RecipeError, ServerError, UnansweredError, UsageError

LOAD = "load: {concurrency: 1}"
GOOD = """
recipe: tiny
settings: {speculation.draft_tokens: [0, 3], kv_cache.dtype: [float16]}
load: {prompts: math, requests: 8}
grid: {concurrency: [1, 2], output_tokens: [8, {low: 4, high: 9}]}
"""


def write(tmp_path: Path, text: Any) -> Any:
    file = tmp_path / "spec.yaml"
    file.write_text(text)
    return file


def test_a_sweep_is_every_combination_those_of_one_server_together(tmp_path: Path) -> None:
    found = points(load_spec(write(tmp_path, GOOD)))
    assert len(found) == 8
    assert [point.settings for point in found[:4]] == [("speculation.draft_tokens=0", 'kv_cache.dtype="float16"')] * 4
    assert found[0].title == "draft_tokens=0, concurrency=1, output_tokens=8"
    assert found[1].shape.output_tokens.high == 9
    assert len({point.name for point in found}) == 8
    assert [point.name for point in found] == [point.name for point in points(load_spec(write(tmp_path, GOOD)))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "give one of recipe and url"),
        ("recipe: tiny\nurl: http://x\nload: {concurrency: 1}", "give one of recipe and url"),
        ("recipes: tiny", "recipes: there is no such field; did you mean 'recipe'"),
        ("url: http://x\nsettings: {a: [1]}\nload: {concurrency: 1}", "a url has none"),
        ("recipe: tiny\nload: {concurency: 1}", "a load has no field 'concurency'"),
        ("recipe: tiny\ngrid: {concurrency: []}", "'concurrency' has no values"),
        ("recipe: tiny\ngrid: {concurrency: [0]}", "greater than or equal to 1"),
        ("recipe: tiny\nload: {prompts: chat}", "either concurrency or rate"),
        ("recipe: tiny\nlimits: {}", "set one of"),
        ("recipe: tiny\nlimits: {ttft_p50: 1}", "there is no such field"),
        ("recipe: tiny\nlimits: {ttft_p99: 1}\nload: {concurrency: 4}", "leave concurrency and rate out"),
        ("recipe: tiny\nload: {concurrency: 1}\ngrid: {prompts: [chat, poems]}", "poems: cannot be read as prompts"),
        ("recipe: tiny\nlimits: {ttft_p99: 1}\nload: {seconds: 4}", "leave seconds out"),
        (
            "recipe: tiny\nload: {concurrency: 1}\ngrid: {concurrency: [1, 2]}",
            "'concurrency' stands in load and in grid",
        ),
        ("recipe: tiny\ngrid: {concurrency: [1, 2, 1]}", "'concurrency' has one value twice"),
        ("recipe: [", "cannot be read"),
        ("- 1", "valid dictionary"),
    ],
)
def test_a_bad_spec_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_spec(write(tmp_path, text))


def test_a_setting_that_makes_no_recipe_is_told_before_anything_starts(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, "recipe: tiny\nsettings: {speculation.draft_tokens: [0, three]}\n" + LOAD))
    with pytest.raises(RecipeError, match=r"speculation\.draft_tokens"):
        require_recipes(spec)
    require_recipes(spec.model_copy(update={"settings": {"speculation.draft_tokens": [0, 3]}}))
    require_recipes(SweepSpec(url="http://x", load={"concurrency": 1}))


def test_a_missing_spec_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_spec(tmp_path / "no.yaml")


@given(st.integers(0, 300), st.integers(1, 300))
def test_the_search_finds_the_largest_load_that_holds_and_tries_few(limit: Any, most: Any) -> None:
    tried = []

    def holds(number: Any) -> Any:
        tried.append(number)
        return number <= limit

    assert largest(holds, most) == min(limit, most)
    assert len(tried) == len(set(tried)) <= 2 * most.bit_length() + 1
    assert all(1 <= number <= most for number in tried)


def test_a_run_with_failures_keeps_no_limit() -> None:
    limits = Limits(ttft_p99=0.2)
    good = [request(0, sent=0.0), request(1, sent=0.0)]
    assert keeps(limits, summarize(run_record(good)))
    assert not keeps(Limits(ttft_p99=0.05), summarize(run_record(good)))
    assert not keeps(limits, summarize(run_record([*good, request(2, sent=0.0, status="failed")])))
    assert not keeps(Limits(itl_p90=1), summarize(run_record([request(0, sent=0.0, tokens=1)])))


def test_a_search_starts_at_one_stream() -> None:
    spec = SweepSpec(recipe="tiny", limits=Limits(ttft_p99=1), grid={"output_tokens": [4, 8]})
    assert [point.shape.concurrency for point in points(spec)] == [1, 1]


def test_a_request_without_an_answer_keeps_no_limit() -> None:
    limits = Limits(ttft_p99=5)
    lost = [request(0, sent=0.0), request(1, sent=0.0, status="unfinished")]
    assert keeps(limits, summarize(run_record(lost[:1])))
    assert not keeps(limits, summarize(run_record(lost)))


@pytest.mark.parametrize("alive", [True, False])
def test_a_load_that_gets_no_answer_is_too_large_while_the_server_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    def run(concurrency: Any, *_: Any) -> Any:
        if concurrency > 3:
            raise UnansweredError("none of 9 requests was answered")
        return run_record([request(0, sent=0.0)])

    def server() -> None:
        if not alive:
            raise ServerError("no server answers")

    monkeypatch.setattr(search_module, "_try", run)
    hosted: Any = SimpleNamespace(target=SimpleNamespace(server=server))
    generator: Any = None
    point = points(SweepSpec(url="http://x", limits=Limits(ttft_p99=5)))[0]
    if alive:
        assert search_module.search(Limits(ttft_p99=5, most=8), point, generator, hosted, tmp_path) == 3
    else:
        with pytest.raises(ServerError, match="no server answers"):
            search_module.search(Limits(ttft_p99=5, most=8), point, generator, hosted, tmp_path)
