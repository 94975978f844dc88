"""How many drafts pay: found from rounds whose cost and acceptance are known."""

from __future__ import annotations

import random
from typing import Any

import pytest

from trtnemo.runtime.scheduling.draft_length import DraftLength


def run(acceptance: Any, cost: Any, rounds: Any = 1500, sequences: Any = 1, seed: Any = 0) -> Any:
    """Return (tokens a second of the last two thirds, of no drafts, of the best fixed number)."""
    policy, source = DraftLength(4), random.Random(seed)
    tokens = seconds = 0.0
    for number in range(rounds):
        count = policy.choose(sequences)
        passed = []
        for _ in range(sequences):
            accepted = 0
            while accepted < count and source.random() < acceptance[accepted]:
                accepted += 1
            passed.append(accepted)
        policy.record(count, passed, cost(count) * source.uniform(0.9, 1.1))
        if number > rounds // 3:
            tokens += sequences + sum(passed)
            seconds += cost(count)

    def rate(count: Any) -> Any:
        expected = reached = 1.0
        for chance in acceptance[:count]:
            reached *= chance
            expected += reached
        return expected * sequences / cost(count)

    return tokens / seconds, rate(0), max(rate(count) for count in range(5))


@pytest.mark.parametrize(
    ("acceptance", "cost"),
    [
        ([0.9, 0.8, 0.7, 0.6], lambda count: 1 + 0.1 * count),
        ([0.5, 0.5, 0.5, 0.5], lambda count: 1 + 0.2 * count),
        ([0.05, 0.05, 0.05, 0.05], lambda count: 1 + 0.5 * count),
        ([0.9, 0.9, 0.9, 0.9], lambda count: 1 + 2.0 * count),
        ([0.95, 0.1, 0.1, 0.1], lambda count: 1 + 0.15 * count),
    ],
)
@pytest.mark.parametrize("sequences", [1, 6])
def test_the_choice_is_near_the_best_and_never_much_worse_than_none(
    acceptance: list[Any], cost: Any, sequences: int
) -> None:
    rate, none, best = run(acceptance, cost, sequences=sequences)
    assert rate > 0.97 * none
    assert rate > 0.93 * best


def test_batches_of_different_sizes_are_judged_apart() -> None:
    policy = DraftLength(2)
    chosen: dict[int, list[int]] = {1: [], 8: []}
    for _ in range(200):
        for sequences, slow in ((1, 0.01), (8, 3.0)):
            count = policy.choose(sequences)
            policy.record(count, [count] * sequences, 1 + slow * count)
            chosen[sequences].append(count)
    assert chosen[1][20:].count(2) >= 150
    assert chosen[8][20:].count(0) >= 160


@pytest.mark.parametrize("seed", range(5))
def test_a_machine_that_changes_its_speed_as_a_whole_changes_no_choice(seed: Any) -> None:
    policy, source = DraftLength(3), random.Random(seed)
    chosen = []
    for number in range(2000):
        count = policy.choose(1)
        accepted = next((place for place in range(count) if source.random() > 0.9), count)
        speed = 1.0 if number // 250 % 2 else 1.6
        policy.record(count, [accepted], speed * (1 + 0.1 * count) * source.uniform(0.95, 1.05))
        chosen.append(count)
    assert chosen[200:].count(3) > 0.97 * 1800


def test_text_that_the_head_cannot_guess_ends_drafting_and_other_text_brings_it_back() -> None:
    policy = DraftLength(3)
    shares = []
    for passes in (True, False, True):
        drafted = 0
        for number in range(12_000):
            count = policy.choose(1)
            policy.record(count, [count if passes else 0], 1 + 0.2 * count)
            drafted += number >= 8000 and count == 3
        shares.append(drafted / 4000)
    assert shares[0] > 0.95
    assert shares[1] < 0.01
    assert shares[2] > 0.95


def test_one_slow_round_does_not_decide() -> None:
    policy = DraftLength(1)
    for _ in range(50):
        policy.record(policy.choose(1), [1], 1.0)
    for count in (0, 1):
        policy.record(count, [count], 1.0)
    before = policy.choose(1)
    policy.record(before, [before], 1000.0)
    seconds = policy.seconds(1, before)
    assert seconds is not None
    assert seconds < 1.2
