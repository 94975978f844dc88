"""The scheduler: decoding first, prompts in chunks, slots taken and given back."""

from __future__ import annotations

from typing import Any

import pytest

from trtnemo.backends import Budget
from trtnemo.runtime import SamplingParams
from trtnemo.runtime.client import reusable_end
from trtnemo.runtime.messages import Submit
from trtnemo.runtime.scheduling.scheduler import Scheduler
from trtnemo.runtime.scheduling.sequence import Sequence


def scheduler(slots: Any = 2, max_num_tokens: Any = 10) -> Any:
    return Scheduler(Budget(slots, 1000, max_num_tokens, 0, 100))


def sequence(name: Any, length: Any, **params: Any) -> Any:
    request = Submit(name, tuple(range(length)), SamplingParams(**params), frozenset())
    return Sequence(request, 5)


def next_step(plan: Any) -> Any:
    """Admit who can be, then plan."""
    while (waiting := plan.next_waiting()) is not None:
        plan.admit(waiting)
    return plan.next_step()


def run(step: Any) -> None:
    """Pretend that the step ran and every sequence at its end sampled a token."""
    for segment, item in zip(step.batch.segments, step.sequences, strict=True):
        item.position += segment.length
        if not item.uncomputed:
            item.tokens.append(1)


def test_a_long_prompt_runs_in_chunks_and_only_its_end_yields_logits() -> None:
    plan = scheduler()
    plan.add(sequence("a", 25))
    lengths, rows = [], []
    for _ in range(3):
        step = next_step(plan)
        lengths.append(len(step.batch.token_ids))
        rows.append(step.batch.logit_rows.tolist())
        run(step)
    assert lengths == [10, 10, 5]
    assert rows == [[], [], [4]]


def test_scoring_a_prompt_yields_all_its_rows() -> None:
    plan = scheduler()
    plan.add(sequence("a", 13, prompt_logprobs=1))
    first = next_step(plan)
    run(first)
    assert first.logit_counts == (10,)
    assert next_step(plan).logit_counts == (3,)


def test_decoding_goes_before_prompts_and_prompts_fill_what_is_left() -> None:
    plan = scheduler()
    plan.add(sequence("a", 4))
    run(next_step(plan))
    plan.add(sequence("b", 20))
    step = next_step(plan)
    assert [(item.id, segment.length) for segment, item in zip(step.batch.segments, step.sequences, strict=True)] == [
        ("a", 1),
        ("b", 9),
    ]
    assert step.batch.segments[0].position == 4
    step.batch.validate()


def test_a_sequence_waits_for_a_slot_and_gets_the_one_that_is_freed() -> None:
    plan = scheduler(slots=1)
    plan.add(sequence("a", 3))
    plan.add(sequence("b", 3))
    run(next_step(plan))
    assert [item.id for item in next_step(plan).sequences] == ["a"]
    freed = plan.remove("a")
    step = next_step(plan)
    assert [item.id for item in step.sequences] == ["b"]
    assert step.batch.segments[0].slot == freed.slot


def test_a_waiting_sequence_can_be_removed_and_an_unknown_one_is_none() -> None:
    plan = scheduler(slots=1)
    for name in ("a", "b"):
        plan.add(sequence(name, 3))
    next_step(plan)
    assert plan.remove("b").id == "b"
    assert plan.remove("b") is None
    plan.remove("a")
    assert plan.is_idle
    assert next_step(plan) is None


def parts(step: Any) -> Any:
    return [(item.id, segment.length) for segment, item in zip(step.batch.segments, step.sequences, strict=True)]


def test_prompts_share_what_decoding_leaves_so_that_a_short_one_is_done_at_once() -> None:
    plan = scheduler(slots=3)
    plan.add(sequence("long", 100))
    plan.add(sequence("short", 3))
    step = next_step(plan)
    assert parts(step) == [("short", 3), ("long", 7)]
    run(step)
    assert parts(next_step(plan)) == [("short", 1), ("long", 9)]


def test_chunks_end_at_round_numbers_and_at_the_end_of_the_last_turn() -> None:
    plan = scheduler(max_num_tokens=300)
    prompt = (*range(10, 610), 7, *range(10, 40))
    plan.add(
        Sequence(Submit("a", prompt, SamplingParams(), frozenset(), kept_end=reusable_end(prompt, frozenset({7}))), 5)
    )
    ends = []
    for _ in range(4):
        step = next_step(plan)
        run(step)
        ends.append(step.sequences[0].position)
    assert ends == [256, 512, 601, 631]


@pytest.mark.parametrize(
    ("prompt", "end"),
    [
        ([1, 2, 7, 3], 0),
        ([1] * 127 + [7, 3], 128),
        ([1] * 300 + [7], 0),
        ([7] * 200 + [1], 200),
        ([1] * 300, 0),
        ([1] * 600, 512),
    ],
)
def test_the_last_finished_turn_of_a_long_prompt_is_found(prompt: Any, end: int) -> None:
    assert reusable_end(prompt, frozenset({7})) == end


def test_a_preempted_sequence_waits_before_all_others() -> None:
    plan = scheduler(slots=2)
    for name in ("a", "b", "c"):
        plan.add(sequence(name, 3))
    run(next_step(plan))
    youngest = plan.youngest()
    assert youngest.id == "b"
    plan.preempt(youngest)
    assert plan.youngest() is None
    assert plan.next_waiting().id == "b"
    assert parts(next_step(plan)) == [("a", 1), ("b", 1)]


def test_drafts_leave_room_to_a_prompt() -> None:
    plan = Scheduler(Budget(3, 1000, 8, 3, 100), draft_tokens=3)
    for name in ("a", "b"):
        plan.add(sequence(name, 2))
    run(next_step(plan))
    assert plan.room_for_drafts(2) == 3
    plan.add(sequence("late", 30))
    waiting = plan.next_waiting()
    assert waiting is not None
    plan.admit(waiting)
    for item, count in plan.plan_drafts():
        item.drafts = [1] * count
    step = plan.next_step()
    assert step is not None
    segments = {segment.slot: segment.length for segment in step.batch.segments}
    assert segments[plan.running["late"].slot] == 4


def test_prompts_share_to_the_last_token() -> None:
    plan = scheduler(slots=3, max_num_tokens=10)
    for name, length in (("a", 50), ("b", 40), ("c", 2)):
        plan.add(sequence(name, length))
    assert parts(next_step(plan)) == [("c", 2), ("b", 4), ("a", 4)]


@pytest.mark.parametrize(
    ("position", "room", "kept", "length"),
    [
        (0, 128, 0, 128),
        (0, 127, 0, 127),  # no round place within reach
        (0, 255, 0, 128),
        (100, 28, 0, 28),
        (100, 27, 0, 27),
        (100, 200, 0, 156),
        (0, 400, 300, 300),
        (0, 300, 300, 256),
        (0, 299, 300, 256),
        (300, 200, 300, 84),
        (0, 1000, 0, 600),
        (512, 88, 0, 88),
        (512, 87, 0, 87),
    ],
)
def test_a_chunk_ends_at_a_kept_or_a_round_place_within_reach(position: int, room: int, kept: int, length: int) -> None:
    item = Sequence(Submit("a", tuple(range(600)), SamplingParams(), frozenset(), kept_end=kept), 5)
    item.position = position
    plan = scheduler(max_num_tokens=room)
    plan.add(item)
    assert parts(next_step(plan)) == [("a", length)]


def test_slots_are_all_given_out_once_and_a_preempted_one_comes_back() -> None:
    plan = scheduler(slots=3)
    for name in "abcd":
        plan.add(sequence(name, 3))
    next_step(plan)
    assert {item.slot for item in plan.running.values()} == {0, 1, 2}
    assert plan.next_waiting() is None
    plan.running["c"].drafts = [1]
    c, slot = plan.running["c"], plan.running["c"].slot
    plan.preempt(c)
    assert (c.slot, c.drafts) == (-1, [])
    assert [item.id for item in plan.waiting] == ["c", "d"]
    plan.admit(plan.next_waiting())
    assert (plan.next_waiting(), c.slot) == (None, slot)
    assert not plan.is_idle
