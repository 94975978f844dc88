"""How many drafts a step verifies, and how their tokens and rows stand in it."""

from __future__ import annotations

from typing import Any

import pytest

from trtnemo.backends import Budget
from trtnemo.runtime import SamplingParams
from trtnemo.runtime.messages import Submit
from trtnemo.runtime.scheduling.scheduler import Scheduler
from trtnemo.runtime.scheduling.sequence import Sequence


def prompt(name: Any, length: Any) -> Any:
    return Sequence(Submit(name, tuple(range(length)), SamplingParams(), frozenset()), 5)


def parts(step: Any) -> Any:
    return [(item.id, segment.length) for segment, item in zip(step.batch.segments, step.sequences, strict=True)]


def decoding_plan(budget: Any, names: Any, draft_tokens: Any = 0, tokens: Any = 5) -> Any:
    """Return a scheduler whose sequences stand after a prompt of one token and have sampled one."""
    plan = Scheduler(budget, draft_tokens)
    for name in names:
        plan.add(Sequence(Submit(name, (0,), SamplingParams(), frozenset()), tokens))
        waiting = plan.next_waiting()
        assert waiting is not None
        plan.admit(waiting)
        plan.running[name].position = 1
        plan.running[name].tokens.append(1)
    return plan


@pytest.mark.parametrize(
    ("sequences", "room"), [(1, 23), (2, 11), (5, 3), (8, 2), (12, 1), (13, 0), (24, 0), (25, 0), (100, 0)]
)
def test_a_step_verifies_as_many_drafts_as_it_has_tokens(sequences: int, room: int) -> None:
    plan = decoding_plan(Budget(3, 1000, 24, 6, 100), "ab")
    assert plan.room_for_drafts(sequences) == room
    plan.add(prompt("prompt", 9))
    assert plan.room_for_drafts(sequences) == room  # it waits, and needs no tokens yet
    plan.admit(plan.next_waiting())
    assert plan.room_for_drafts(sequences) == max(0, 12 // sequences - 1)


@pytest.mark.parametrize(
    ("asked", "most", "tokens", "budget", "planned"),
    [
        (3, None, 50, 24, 3),
        (3, 2, 50, 24, 2),
        (3, 9, 50, 24, 3),
        (3, 0, 50, 24, 0),
        (0, None, 50, 24, 0),
        (9, None, 50, 24, 6),  # the executor's own most
        (6, None, 50, 10, 4),  # what a step can verify of both
        (6, None, 4, 24, 2),  # the last token of all needs no draft
        (6, None, 2, 24, 0),
        (6, None, 50, 2, 0),
    ],
)
def test_drafts_are_as_many_as_asked_known_verified_and_still_wanted(
    asked: int, most: int | None, tokens: int, budget: int, planned: int
) -> None:
    plan = decoding_plan(Budget(2, 1000, budget, 6, 100), "ab", asked, tokens)
    expected = [("a", planned), ("b", planned)] if planned else []
    assert [(item.id, count) for item, count in plan.plan_drafts(most)] == expected


def test_nobody_drafts_before_its_prompt_is_done() -> None:
    plan = Scheduler(Budget(2, 1000, 24, 6, 100), 3)
    plan.add(prompt("a", 4))
    waiting = plan.next_waiting()
    assert waiting is not None
    plan.admit(waiting)
    assert plan.plan_drafts() == []
    plan.running["a"].position = 4  # and nothing sampled yet
    assert plan.plan_drafts() == []


def test_drafts_are_verified_with_the_token_before_them_and_every_row_is_wanted() -> None:
    plan = decoding_plan(Budget(2, 1000, 24, 6, 100), "ab")
    plan.running["a"].drafts = [7, 8]
    step = plan.next_step()
    assert step.batch.token_ids.tolist() == [1, 7, 8, 1]
    assert step.batch.logit_rows.tolist() == [0, 1, 2, 3]
    assert step.logit_counts == (3, 1)
    assert [(part.start, part.length, part.position, part.speculative) for part in step.batch.segments] == [
        (0, 3, 1, True),
        (3, 1, 1, False),
    ]


def test_a_step_holds_no_more_tokens_than_the_budget() -> None:
    plan = decoding_plan(Budget(4, 1000, 3, 0, 100), "abcd")
    assert parts(plan.next_step()) == [("a", 1), ("b", 1), ("c", 1)]
    plan.running["a"].drafts = [7, 8, 9]
    step = plan.next_step()
    assert step.batch.token_ids.tolist() == [1, 7, 8]
    assert parts(step) == [("a", 3)]


def test_a_sequence_drafts_no_more_than_it_may_still_say() -> None:
    item = Sequence(Submit("a", (0, 1), SamplingParams(), frozenset()), 5)
    assert item.room_for_drafts == 0
    item.position = 2
    item.tokens.append(1)
    assert (item.generated, item.uncomputed, item.room_for_drafts) == (1, 1, 3)
    item.token_limit = 1
    assert item.room_for_drafts == 0
