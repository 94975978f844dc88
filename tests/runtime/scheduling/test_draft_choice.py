"""The numbers behind the choice of drafts, one by one: room, first tries, margin, trials."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from trtnemo.runtime.scheduling import draft_length
from trtnemo.runtime.scheduling.draft_length import BatchChoice, DraftLength


def learn(policy: Any, costs: Any, sequences: Any = 1, accepted: Any = None) -> None:
    """Bring a policy past its first tries, at these costs of 0, 1, ... drafts."""
    for count, cost in enumerate(costs):
        for _ in range(draft_length._FIRST_TRIES):
            policy.record(count, [count if accepted is None else min(count, accepted)] * sequences, cost)


@pytest.mark.parametrize(("room", "most"), [(None, 4), (9, 4), (4, 4), (3, 3), (1, 1), (0, 0), (-2, 0)])
def test_no_more_drafts_than_there_is_room_for(room: int | None, most: int) -> None:
    """Before anything is known, while numbers are tried, and when the best is more than fits."""
    policy, seen = DraftLength(4), set()
    for _ in range(6 * draft_length._FIRST_TRIES):
        count = policy.choose(1, room)
        seen.add(count)
        policy.record(count, [count], 1.0)
    assert max(seen) == most
    assert seen == set(range(most + 1))
    known = DraftLength(4)
    learn(known, [1.0] * 5)
    assert known.choose(1) == 4
    assert [known.choose(1, room) for _ in range(9)] == [most] * 9
    assert known._batch(1).current == 4
    assert known.choose(1) == 4  # full steps are no reason to settle for less


def test_a_trial_of_more_than_there_is_room_for_waits() -> None:
    choice = BatchChoice()
    for count, cost in enumerate([1.0, 1.0, 1.0]):
        for _ in range(6):
            choice.record(count, cost)
    choice._trial, choice._trial_rounds = 2, 3
    assert choice.choose(1, lambda count: 1.0) == 0
    assert choice.choose(2, lambda count: 1.0) == 2


def settled(gain: Any) -> Any:
    """Return what runs where one draft gives so much more a second than none."""
    choice = BatchChoice()
    for count in (0, 1):
        for _ in range(6):
            choice.record(count, 1.0)
    return choice.choose(1, lambda count: 1 + count * gain)


def test_a_tie_changes_nothing() -> None:
    assert [settled(gain) for gain in (-0.1, 0.0, 0.02, 0.039)] == [0] * 4
    assert [settled(gain) for gain in (0.041, 0.1, 1.0)] == [1] * 3


@pytest.mark.parametrize(("none", "expected"), [(0.99, 1), (1.0, 0), (1.02, 0)])
def test_drafting_ends_where_none_are_no_worse(none: float, expected: int) -> None:
    choice = BatchChoice()
    for count in (0, 1):
        for _ in range(6):
            choice.record(count, 1.0)
    choice.current = 1
    assert choice.choose(1, lambda count: 1.0 if count else none) == expected


def test_the_first_rounds_of_a_number_and_its_slowest_say_nothing_of_its_cost() -> None:
    choice = BatchChoice()
    for seconds in (900.0, 500.0, 1.0, 3.0, 2.0):
        choice.record(0, seconds)
    assert choice.seconds(0) is None
    choice.record(0, 100.0)
    assert choice.seconds(0) == 2.0


def test_a_trials_first_round_does_not_count() -> None:
    choice = BatchChoice()
    for count in (0, 1):
        for _ in range(6):
            choice.record(count, 1.0)
    # none are the best, and the pause is over: one draft is tried
    chosen = [choice.choose(1, lambda count: 1 + 0.01 * count) for _ in range(draft_length._PAUSES[0])]
    assert set(chosen[:-1]) == {0}
    assert chosen[-1] == 1
    choice.record(1, 2.0)
    assert choice.seconds(1) == 1.0
    choice.record(1, 2.0)
    assert choice.seconds(1) == pytest.approx(2**0.2)


def trial_length(cost: Any, gain: Any, pause: Any = 0) -> Any:
    """Return for how many rounds one draft is tried that costs and gives so much more."""
    choice = BatchChoice()
    for count, seconds in enumerate((1.0, cost)):
        for _ in range(6):
            choice.record(count, seconds)
    choice._pause = pause or choice._pause
    rounds = 0
    for _ in range(choice._pause + 40):
        count = choice.choose(1, lambda count: 1 + gain * count)
        choice.record(count, cost if count else 1.0)
        rounds += count
    return rounds


def test_a_trial_lasts_as_long_as_it_can_be_afforded() -> None:
    assert trial_length(1.0, 0.01) == 1 + 8  # one cold round, and eight
    assert trial_length(1.4, 0.01) == 0  # 1 % of 128 rounds do not pay the cold one
    assert trial_length(1.4, 0.01, pause=480) == 1 + 7  # (4.8 - 2) / 0.39
    assert trial_length(3.0, 0.0, pause=300) == 0  # (3 - 2) / 2 is less than one round


def test_pauses_between_trials_grow_to_their_longest() -> None:
    choice = BatchChoice()
    for count in (0, 1):
        for _ in range(6):
            choice.record(count, 1.0)
    tried: list[int] = []
    for number in range(12_000):
        count = choice.choose(1, lambda count: 1 + 0.01 * count)
        choice.record(count, 1.0)
        if count and (not tried or number - tried[-1] > 20):
            tried.append(number)
    gaps = [after - before for before, after in itertools.pairwise(tried)]
    assert [round(gap / 128) for gap in gaps[:6]] == [2, 4, 8, 16, 16, 16]


def test_trials_take_every_other_number_in_turn() -> None:
    choice = BatchChoice()
    for count in range(4):
        for _ in range(6):
            choice.record(count, 1.0)
    choice.current = 1
    tried: list[int] = []
    for _ in range(9000):
        count = choice.choose(3, lambda count: 1.01 if count == 1 else 1.0)
        choice.record(count, 1.0)
        if count != 1 and tried[-1:] != [count]:
            tried.append(count)
    assert tried[:6] == [3, 0, 2, 3, 0, 2]  # 2 was the first in turn, when no trial could be afforded yet


def test_cost_of_what_runs_moves_all_and_of_what_is_tried_its_own_alone() -> None:
    choice = BatchChoice()
    for count in (0, 1):
        for _ in range(6):
            choice.record(count, 1.0)
    choice.record(0, 1.5)
    assert choice.seconds(0) == choice.seconds(1) == pytest.approx(1.5**0.1)
    before = choice.seconds(0)
    choice.record(1, 0.0001)  # bounded: a half
    assert choice.seconds(0) == before
    assert choice.seconds(1) == pytest.approx(before * 0.5**0.2)
    choice.record(1, 1e9)  # bounded: twice
    assert choice.seconds(1) == pytest.approx(before)


def test_tokens_expected_follow_what_passed() -> None:
    policy = DraftLength(3)
    assert policy.tokens(0) == 1
    assert policy.tokens(2) == pytest.approx(1 + 0.7 + 0.49)
    policy.record(3, [0], 1.0)  # the second and third were never reached
    first = 0.7 - 0.7 / 3
    assert policy.tokens(1) == pytest.approx(1 + first)
    assert policy.tokens(2) == pytest.approx(1 + first + first * 0.7)
    for _ in range(600):
        policy.record(3, [3, 3], 1.0)
    assert policy.tokens(3) == pytest.approx(4, abs=0.01)
    policy.record(3, [1], 1.0)  # one of many: 2 % of an average
    assert policy.tokens(1) == pytest.approx(2, abs=0.01)
    assert policy.tokens(2) - policy.tokens(1) == pytest.approx(0.98, abs=0.01)
    assert policy.tokens(9) == policy.tokens(3)


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [(1, 2, False), (2, 3, False), (3, 4, True), (4, 5, False), (5, 8, True), (0, 1, True)],
)
def test_batches_are_known_by_the_power_of_two_above(one: int, other: int, are_alike: bool) -> None:
    policy = DraftLength(1)
    if one:
        learn(policy, [2.0, 3.0], sequences=one)
    else:
        learn(policy, [2.0, 3.0], sequences=1)
    assert (policy.seconds(other, 1) == 3.0) is are_alike
    assert policy.seconds(other, 0) == (2.0 if are_alike else None)


def test_a_number_is_thought_over_at_the_first_round_and_every_fourth() -> None:
    choice = BatchChoice()
    for count in (0, 1):
        for _ in range(6):
            choice.record(count, 1.0)

    def tokens(gain: float) -> Callable[[int], float]:
        return lambda count: 1 + count * gain

    gains = [0.01, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert [choice.choose(1, tokens(gain)) for gain in gains] == [0, 0, 0, 0, 1, 1]
