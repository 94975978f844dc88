"""Pairs of runs over real servers."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from trtnemo.bench.gate.pairs import AFTER, BEFORE, measure_pairs, read_pairs
from trtnemo.bench.host import Place
from trtnemo.bench.load.prompts import draw_prompts
from trtnemo.bench.load.record import RUN, RunRecord, find_runs
from trtnemo.bench.load.shape import LoadShape
from trtnemo.errors import MeasurementError, UsageError

SHAPE = LoadShape(concurrency=2, requests=6, warmup=2, output_tokens=16, thinking=False)


def prompts_of(run: Any) -> Any:
    """Return a run's prompts without their marks."""
    return [prompt.text.partition("] ")[2] for prompt in draw_prompts(run.shape, run.nonce)]


def test_two_servers_are_measured_in_turn_with_the_same_prompts(sender: Any, engine: Any, tmp_path: Path) -> None:
    # a step gives four tokens at most, so a token of the slow server takes an eighth of a second or more
    slow = (sys.executable, str(ROOT / "scripts" / "slow_server.py"), "0.5")
    told = []
    places = Place(engine=engine), Place(engine=engine, program=slow)
    shape = LoadShape(concurrency=2, requests=2, warmup=0, output_tokens=6, thinking=False)
    for _ in range(3):  # guidellm loses a record now and then on a busy machine; what was measured before is kept
        with suppress(MeasurementError):
            measure_pairs(*places, shape, 2, tmp_path, lambda *words: told.append(words), sender)
            break
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
    assert min(run.metrics["itl_p50"] for run in after) > 0.12 > max(run.metrics["itl_p50"] for run in before)


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
