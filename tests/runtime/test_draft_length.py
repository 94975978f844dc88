"""How many drafts pay: found from rounds whose cost and acceptance are known."""

from __future__ import annotations

import random

import pytest

from trtnemo.runtime.draft_length import DraftLength


def run(acceptance, cost, rounds=1500, sequences=1, seed=0):
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

    def rate(count):
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
def test_the_choice_is_near_the_best_and_never_much_worse_than_none(acceptance, cost, sequences):
    rate, none, best = run(acceptance, cost, sequences=sequences)
    assert rate > 0.97 * none
    assert rate > 0.93 * best


def test_batches_of_different_sizes_are_judged_apart():
    policy = DraftLength(2)
    for _ in range(200):
        for sequences, slow in ((1, 0.01), (8, 3.0)):
            count = policy.choose(sequences)
            policy.record(count, [count] * sequences, 1 + slow * count)
    few, many = ([policy.choose(sequences) for _ in range(20)] for sequences in (1, 8))
    assert few.count(2) >= 18
    assert many.count(0) >= 18


def test_one_slow_round_does_not_decide():
    policy = DraftLength(1)
    for _ in range(50):
        policy.record(policy.choose(1), [1], 1.0)
    for count in (0, 1):
        policy.record(count, [count], 1.0)
    before = policy.choose(1)
    policy.record(before, [before], 1000.0)
    assert policy.seconds(1, before) < 1.2
