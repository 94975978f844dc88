"""What an engine's recipe leaves room for, and how it wants its sequences to run."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from trtnemo.errors import EngineError
from trtnemo.processors import usable_processors
from trtnemo.recipe import load_recipe
from trtnemo.runtime import LoopOptions
from trtnemo.runtime.load import _threads, budget_of, loop_options


def engine(name: Any = "tiny", *settings: Any, drafter: Any = "a graph") -> Any:
    recipe = load_recipe(name, settings)
    drafting = drafter if recipe.speculation.draft_tokens else None
    return SimpleNamespace(recipe=recipe, drafter=drafting, vocab_size=99, directory="there")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["limits.max_batch_size=3", "limits.max_seq_len=500", "limits.max_num_tokens=64"], (3, 500, 64, 0, 99)),
        (["limits.max_batch_size=70", "limits.max_num_tokens=64"], (70, 32768, 70, 0, 99)),  # one of each at least
        (["limits.max_seq_len=500", "cpu.kv_tokens=400"], (8, 400, 512, 0, 99)),
        (["limits.max_seq_len=500", "cpu.kv_tokens=600"], (8, 500, 512, 0, 99)),
        (["speculation.draft_tokens=3"], (8, 32768, 512, 3, 99)),
    ],
)
def test_a_budget_is_what_the_recipe_says(settings: list[Any], expected: Any) -> None:
    found = budget_of(engine("tiny", *settings))
    sizes = (found.slots, found.max_seq_len, found.max_num_tokens, found.max_draft_tokens, found.vocab_size)
    assert sizes == expected


def test_without_a_head_there_are_no_drafts() -> None:
    assert budget_of(engine("tiny", "speculation.draft_tokens=3", drafter=None)).max_draft_tokens == 0


def test_the_loop_runs_as_the_recipe_says() -> None:
    said = ["speculation.draft_tokens=3", "speculation.adaptive=false", "cpu.prefix_cache_mib=7"]
    assert loop_options(engine("tiny", *said)) == LoopOptions(3, False, 7 << 20)
    assert loop_options(engine("tiny", "speculation.draft_tokens=2")).adapts_drafts
    drafting = ["speculation.draft_tokens=2", "speculation.adaptive=true"]
    assert loop_options(engine("rtx-pro-6000", *drafting)) == LoopOptions(2, True, 0)
    with pytest.raises(EngineError, match="runtime 'trtllm' is not our own"):
        loop_options(engine("b200"))


def test_threads_are_the_recipes_or_as_many_as_there_are_cores() -> None:
    assert _threads(engine("tiny", "cpu.threads=3")) == 3
    assert _threads(engine("tiny")) == usable_processors() == len(os.sched_getaffinity(0))


def test_more_threads_than_processors_are_said_and_started(caplog: pytest.LogCaptureFixture) -> None:
    asked = usable_processors() + 1
    assert _threads(engine("tiny", f"cpu.threads={asked}")) == asked
    assert f"cpu.threads is {asked}, and this process may use {asked - 1} at once" in caplog.text
    caplog.clear()
    assert _threads(engine("tiny", "cpu.threads=1")) == 1
    assert caplog.text == ""
