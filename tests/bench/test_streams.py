"""The client of `make bench`, which asks whatever model the server has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.served import serving
from benchmarks.streams import stream_all
from trtnemo.engine.build import build_engine
from trtnemo.recipe import load_recipe


def test_a_server_of_another_checkpoint_is_asked_for_the_model_that_it_has(
    make_checkpoint: Any, tmp_path: Path
) -> None:
    recipe = load_recipe("tiny", [], str(make_checkpoint("mixed")))
    build_engine(recipe, "tiny", tmp_path / "engine")
    with serving(tmp_path / "engine") as (url, ready):
        found = stream_all(url, [[40, 41, 42 + place] for place in range(3)], 4)
    assert [one.tokens for one in found] == [4] * 3
    assert all(0 < one.first <= one.last for one in found)
    assert ready > 0
