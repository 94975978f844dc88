"""The scheduler: decoding first, prompts in chunks, slots taken and given back."""

from __future__ import annotations

from trtnemo.lowering import Budget
from trtnemo.runtime import SamplingParams
from trtnemo.runtime.messages import Submit
from trtnemo.runtime.scheduler import Scheduler
from trtnemo.runtime.sequence import Sequence


def scheduler(slots=2, max_num_tokens=10):
    return Scheduler(Budget(slots, 1000, max_num_tokens, 0, 100))


def sequence(name, length, **params):
    request = Submit(name, tuple(range(length)), SamplingParams(**params), frozenset())
    return Sequence(request, 5)


def run(step):
    """Pretend that the step ran and every sequence at its end sampled a token."""
    for segment, item in zip(step.batch.segments, step.sequences, strict=True):
        item.position += segment.length
        if not item.unseen:
            item.tokens.append(1)


def test_a_long_prompt_runs_in_chunks_and_only_its_end_yields_logits():
    plan = scheduler()
    plan.add(sequence("a", 25))
    lengths, rows = [], []
    for _ in range(3):
        step = plan.next_step()
        lengths.append(len(step.batch.token_ids))
        rows.append(step.batch.logit_rows.tolist())
        run(step)
    assert lengths == [10, 10, 5]
    assert rows == [[], [], [4]]


def test_scoring_a_prompt_yields_all_its_rows():
    plan = scheduler()
    plan.add(sequence("a", 13, prompt_logprobs=1))
    first = plan.next_step()
    run(first)
    assert first.logit_counts == (10,)
    assert plan.next_step().logit_counts == (3,)


def test_decoding_goes_before_prompts_and_prompts_fill_what_is_left():
    plan = scheduler()
    plan.add(sequence("a", 4))
    run(plan.next_step())
    plan.add(sequence("b", 20))
    step = plan.next_step()
    assert [(item.id, segment.length) for segment, item in zip(step.batch.segments, step.sequences, strict=True)] == [
        ("a", 1),
        ("b", 9),
    ]
    assert step.batch.segments[0].position == 4
    step.batch.validate()


def test_a_sequence_waits_for_a_slot_and_gets_the_one_that_is_freed():
    plan = scheduler(slots=1)
    plan.add(sequence("a", 3))
    plan.add(sequence("b", 3))
    run(plan.next_step())
    assert [item.id for item in plan.next_step().sequences] == ["a"]
    freed = plan.remove("a")
    step = plan.next_step()
    assert [item.id for item in step.sequences] == ["b"]
    assert step.batch.segments[0].slot == freed.slot


def test_a_waiting_sequence_can_be_removed_and_an_unknown_one_is_none():
    plan = scheduler(slots=1)
    for name in ("a", "b"):
        plan.add(sequence(name, 3))
    plan.next_step()
    assert plan.remove("b").id == "b"
    assert plan.remove("b") is None
    plan.remove("a")
    assert plan.is_idle
    assert plan.next_step() is None
