"""Who has a slot and KV cache when there is too little: who gives way, who waits, and what is started from."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from tests.support.backends.table_executor import TableExecutor, TableSnapshot
from trtnemo import SamplingParams
from trtnemo.backends import Budget
from trtnemo.runtime import LoopOptions, client_over
from trtnemo.runtime.messages import Finished, Submit
from trtnemo.runtime.scheduling.residency import Residency
from trtnemo.runtime.scheduling.scheduler import Scheduler
from trtnemo.runtime.scheduling.sequence import Sequence

CYCLE = np.roll(np.eye(3), 1, axis=1) * 20


class Tight(TableExecutor):
    """Has KV cache for `capacity` tokens of running sequences; a swapped-out snapshot holds none."""

    def __init__(self, capacity: Any, slots: Any = 4) -> None:
        super().__init__(CYCLE, CYCLE, slots)
        self.capacity = capacity
        self.restored: list[tuple[int, int]] = []

    def has_room(self, segments: Any) -> Any:
        held = dict(self.lengths)
        for segment in segments:
            held[segment.slot] = segment.position + segment.length
        return sum(held.values()) <= self.capacity

    def can_restore(self, snapshot: Any) -> Any:
        return sum(self.lengths.values()) + snapshot.length <= self.capacity

    def restore(self, slot: Any, snapshot: Any) -> None:
        self.restored.append((slot, snapshot.length))
        super().restore(slot, snapshot)


@pytest.mark.parametrize("count", [2, 4])
def test_who_gave_way_waits_until_one_has_ended(count: int) -> None:
    """And not only until the next step, when it would take the room again: one preemption, not one a step."""
    client = client_over(Tight(60), frozenset())
    params = SamplingParams(temperature=0, max_tokens=40, ignore_eos=True)
    heard: list[object] = []
    for _ in range(count):
        client.submit(client.check([0, 1], params), heard.append)
    client.close(drain=True)
    assert [event.reason for event in heard if isinstance(event, Finished)] == ["length"] * count
    assert 1 <= client.statistics.preemptions <= 2 * count


def make(capacity: Any = 100, slots: Any = 3, prefix_bytes: Any = 0) -> Any:
    executor = Tight(capacity, slots)
    scheduler = Scheduler(executor.budget)
    return executor, scheduler, Residency(executor, scheduler, prefix_bytes)


def sequence(name: Any, length: Any, position: Any = 0, **params: Any) -> Any:
    made = Sequence(Submit(name, tuple([0] * length), SamplingParams(**params), frozenset()), 50)
    made.position = position
    return made


def run(executor: Any, item: Any, length: Any) -> None:
    executor.lengths[item.slot] = item.position = length


def segments_of(scheduler: Any) -> Any:
    return scheduler.next_step().batch.segments


def test_prefixes_go_before_any_sequence_and_then_the_youngest() -> None:
    executor, scheduler, residency = make(capacity=70, prefix_bytes=1000)
    for name in ("old", "young"):
        scheduler.add(sequence(name, 70))
    residency.admit()
    old, young = scheduler.running.values()
    run(executor, old, 64)
    residency.keep(old)
    assert len(residency.prefixes) == 1
    run(executor, old, 30)
    run(executor, young, 30)
    given_up = young.slot
    assert residency.make_room(segments_of(scheduler))
    assert len(residency.prefixes) == 0
    assert list(scheduler.running) == ["old"]
    assert (young.preempted.length, young.running_then, young.slot, residency.preemptions) == (30, 1, -1, 1)
    assert given_up not in executor.lengths
    assert not residency.make_room(segments_of(scheduler))
    assert residency.preemptions == 1


def test_nobody_gives_way_where_there_is_room_or_only_one() -> None:
    executor, scheduler, residency = make(capacity=70, prefix_bytes=1000)
    scheduler.add(sequence("only", 60))
    residency.admit()
    (only,) = scheduler.running.values()
    assert not residency.make_room(segments_of(scheduler))
    executor.capacity = 1
    assert not residency.make_room(segments_of(scheduler))  # the executor's to say
    assert scheduler.running == {"only": only}


def test_a_sequence_that_has_not_begun_gives_way_without_a_state() -> None:
    executor, scheduler, residency = make(capacity=20)
    for name in ("old", "young"):
        scheduler.add(sequence(name, 20))
    residency.admit()
    run(executor, scheduler.running["old"], 19)
    young = scheduler.running["young"]
    assert residency.make_room(segments_of(scheduler))
    assert young.preempted is None
    assert scheduler.next_waiting() is young


def test_who_gave_way_is_let_in_when_fewer_run_than_did() -> None:
    executor, scheduler, residency = make(capacity=40)
    for name in ("a", "b", "c"):
        scheduler.add(sequence(name, 90))
    residency.admit()
    a, b, c = scheduler.running.values()
    for item, length in ((a, 10), (b, 10), (c, 15)):
        run(executor, item, length)
    executor.capacity = 30
    assert residency.make_room([])
    assert c.running_then == 2
    late = sequence("late", 5)
    scheduler.add(late)
    executor.capacity = 1000
    assert residency.admit() == []
    assert list(scheduler.running) == ["a", "b"]  # and nobody overtakes it
    executor.release(b.slot)
    scheduler.remove("b")
    residency.admit()
    assert list(scheduler.running) == ["a", "c", "late"]
    assert (c.position, c.running_then, c.preempted) == (15, 0, None)
    assert executor.restored == [(c.slot, 15)]


def test_a_swapped_state_waits_for_its_room_and_prefixes_are_dropped_for_it() -> None:
    executor, scheduler, residency = make(capacity=10, prefix_bytes=1000)
    preempted = sequence("preempted", 90, position=40)
    preempted.preempted = TableSnapshot(40, 1)
    scheduler.add(preempted)
    scheduler.add(sequence("behind", 1))
    for first in (1, 2):
        residency.prefixes.store(residency.prefixes.key_for([first] * 70), TableSnapshot(70, 1))
    assert residency.admit() == []
    assert (list(scheduler.running), len(residency.prefixes)) == ([], 0)
    executor.capacity = 40
    residency.admit()
    assert list(scheduler.running) == ["preempted", "behind"]


@pytest.mark.parametrize(
    ("change", "starts"),
    [
        ({}, 70),
        ({"prompt_logprobs": 1}, 0),
    ],
)
def test_a_sequence_starts_after_a_known_prefix_unless_all_of_it_must_run(change: dict[str, Any], starts: int) -> None:
    executor, scheduler, residency = make(prefix_bytes=1000)
    residency.prefixes.store(residency.prefixes.key_for([0] * 70), TableSnapshot(70, 1))
    item = sequence("a", 90, **change)
    scheduler.add(item)
    assert residency.admit() == ([item] if starts else [])
    assert (item.position, item.cached, executor.lengths) == (starts, starts, {item.slot: starts} if starts else {})


def test_a_prefix_for_which_there_is_no_room_is_run_again() -> None:
    _, scheduler, residency = make(capacity=69, prefix_bytes=1000)
    residency.prefixes.store(residency.prefixes.key_for([0] * 70), TableSnapshot(70, 1))
    item = sequence("a", 90)
    scheduler.add(item)
    assert residency.admit() == []
    assert (item.position, item.cached) == (0, 0)
    assert list(scheduler.running) == ["a"]


def test_states_of_scored_prompts_and_known_places_are_not_kept() -> None:
    executor, scheduler, residency = make(capacity=1000, prefix_bytes=1000)
    for item in (sequence("scored", 90, prompt_logprobs=1), sequence("plain", 90), sequence("again", 90)):
        scheduler.add(item)
        residency.admit()
        run(executor, item, 80)
        before = len(residency.prefixes)
        residency.keep(item)
        assert len(residency.prefixes) - before == (item.id == "plain")


def test_a_loop_tells_of_reused_prefixes_and_counts_them() -> None:
    executor = Tight(1000)
    executor.budget = Budget(4, 200, 64, 0, 3)
    client = client_over(executor, frozenset({2}), LoopOptions(prefix_bytes=1000))
    params = SamplingParams(temperature=0, max_tokens=2, ignore_eos=True)
    prompt = [0] * 140 + [2, 0]
    heard: list[object] = []
    for _ in range(2):
        done = len([event for event in heard if isinstance(event, Finished)])
        client.submit(client.check(prompt, params), heard.append)
        while len([event for event in heard if isinstance(event, Finished)]) == done:
            time.sleep(0.001)
    client.close(drain=True)
    assert client.statistics.cached_tokens == 141
    assert client.statistics.prompt_tokens == 142 + 1
    assert executor.restored == [(executor.restored[0][0], 141)]


def test_the_state_of_who_gives_way_shares_nothing_with_the_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    preempted: list[int] = []
    monkeypatch.setattr(TableSnapshot, "swap_out", lambda self: preempted.append(self.length))
    executor, scheduler, residency = make(capacity=70)
    for name in ("old", "young"):
        scheduler.add(sequence(name, 70))
    residency.admit()
    run(executor, scheduler.running["old"], 40)
    run(executor, scheduler.running["young"], 30)
    assert residency.make_room(segments_of(scheduler))
    assert preempted == [30]


@pytest.mark.parametrize("on_trial", [True, False])
def test_ends_of_chunks_are_kept_on_trial_and_ends_of_turns_are_not(on_trial: bool) -> None:
    executor, scheduler, residency = make(capacity=1000, prefix_bytes=2)
    scheduler.add(sequence("a", 90))
    residency.admit()
    run(executor, scheduler.running["a"], 80)
    residency.keep(scheduler.running["a"], on_trial=on_trial)
    for first in (1, 2):  # two more on trial push out one on trial, and nothing that is kept for good
        cache = residency.prefixes
        cache.store(cache.key_for([first] * 70), TableSnapshot(70, 1), on_trial=True)
    assert (residency.prefixes.find([0] * 90) is None) is on_trial
