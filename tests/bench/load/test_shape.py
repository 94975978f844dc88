"""Loads that contradict themselves are refused; prompts are drawn alike from a seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from trtnemo.bench.load.prompts import CHARACTERS_PER_TOKEN, draw_prompts, prompts_digest, read_set
from trtnemo.bench.load.shape import PROMPT_SETS, LoadShape
from trtnemo.errors import UsageError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "either concurrency or rate"),
        ({"concurrency": 1, "rate": 2.0}, "either concurrency or rate"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"rate": 0.0}, "greater than 0"),
        ({"concurrency": 1, "requests": 0}, "greater than or equal to 1"),
        ({"concurrency": 1, "output_tokens": {"low": 5, "high": 4}}, "low 5 exceeds high 4"),
        ({"concurrency": 1, "output_tokens": 0}, "greater than or equal to 1"),
        ({"concurrency": 1, "api": "completions", "thinking": True}, "completions has none"),
        ({"concurrency": 1, "streams": 4}, "Extra inputs"),
    ],
)
def test_a_load_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LoadShape.model_validate(fields)


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_a_shipped_set_has_prompts_that_differ(name: str) -> None:
    rows = read_set(name)
    assert len({json.dumps(row) for row in rows}) == len(rows) >= 20


def test_one_seed_draws_the_same_and_another_does_not() -> None:
    shape = LoadShape(concurrency=1, requests=20, output_tokens={"low": 5, "high": 50})
    assert prompts_digest(draw_prompts(shape)) == prompts_digest(draw_prompts(shape))
    other = shape.model_copy(update={"seed": 1})
    assert prompts_digest(draw_prompts(other)) != prompts_digest(draw_prompts(shape))


def test_lengths_keep_their_bounds_and_no_prompt_comes_twice_before_all_came() -> None:
    shape = LoadShape(concurrency=1, requests=90, warmup=6, output_tokens={"low": 5, "high": 7})
    found = draw_prompts(shape)
    assert len(found) == 96
    assert {prompt.output_tokens for prompt in found} == {5, 6, 7}
    assert len({prompt.text for prompt in found}) == 96


def test_prompts_are_cut_or_filled_to_the_length_that_is_asked_for() -> None:
    shape = LoadShape(concurrency=1, requests=30, input_tokens={"low": 20, "high": 400}, fresh=False)
    lengths = [len(prompt.text) / CHARACTERS_PER_TOKEN for prompt in draw_prompts(shape)]
    assert min(lengths) >= 20
    assert max(lengths) <= 400
    assert max(lengths) > 2 * min(lengths)


def test_prompts_of_different_loads_share_no_prefix_unless_they_may() -> None:
    shapes = [LoadShape(concurrency=number, requests=40) for number in (1, 2)]
    prefixes = [prompt.text[:20] for shape in shapes for prompt in draw_prompts(shape)]
    assert len(set(prefixes)) == len(prefixes)
    first, second = (draw_prompts(shape.model_copy(update={"fresh": False})) for shape in shapes)
    assert first == second


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no prompt"),
        ("{", "line 1: is not a prompt"),
        ('{"messages": []}', "line 1: is not a prompt"),
        ('{"messages": [{"role": "user", "content": null}]}', "line 1: is not a prompt"),
        ('{"messages": [{"role": "user", "content": "a"}]}\n[1]', "line 2: is not a prompt"),
    ],
)
def test_a_bad_file_of_prompts_is_refused_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(content)
    with pytest.raises(UsageError, match=message):
        read_set(str(file))


def test_a_misspelt_set_is_told_the_nearest() -> None:
    with pytest.raises(UsageError, match="chat"):
        read_set("chatt")
