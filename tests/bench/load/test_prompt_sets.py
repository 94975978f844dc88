"""The shipped prompt sets are what their script writes, and hold nothing of our own sources."""

from __future__ import annotations

import json

import pytest

from scripts.prompts.write import OUTPUT, prompt_sets
from trtnemo.bench.load.shape import PROMPT_SETS

SETS = prompt_sets()


def test_every_set_that_a_load_may_name_ships() -> None:
    assert set(PROMPT_SETS) == set(SETS) == {path.stem for path in OUTPUT.glob("*.jsonl")}


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_a_set_is_what_the_script_writes(name: str) -> None:
    assert (OUTPUT / f"{name}.jsonl").read_text(encoding="utf-8") == SETS[name], "run scripts/prompts/write.py"


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_a_set_holds_different_prompts_and_none_of_our_sources(name: str) -> None:
    texts = [json.loads(line)["messages"][0]["content"] for line in SETS[name].splitlines()]
    assert len(set(texts)) == len(texts) >= 24
    assert [text for text in texts if "trtnemo" in text] == []


def test_long_prompts_are_long() -> None:
    lengths = [len(json.loads(line)["messages"][0]["content"]) for line in SETS["long"].splitlines()]
    assert min(lengths) > 4000
    assert max(lengths) > 12000
