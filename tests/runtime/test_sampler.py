"""Sampling: what each parameter leaves, and draws that follow the distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.distribution import distribution
from trtnemo.native import require_native
from trtnemo.runtime import SamplingParams
from trtnemo.runtime.sampler import Sampler, draw, draw_in_numpy, log_softmax, noise, token_logprob

LOGITS = np.array([1.0, 3.0, 2.0, -1.0, 0.0], np.float32)


def probabilities(**params: Any) -> Any:
    return distribution(LOGITS.astype(np.float64), SamplingParams(**params))


def softmax(values: Any) -> Any:
    weights = np.exp(values - values.max())
    return weights / weights.sum()


def test_without_limits_it_is_the_softmax_at_its_temperature() -> None:
    assert np.allclose(probabilities(), softmax(LOGITS))
    assert np.allclose(probabilities(temperature=2.0), softmax(LOGITS / 2))


def test_top_k_keeps_the_k_best() -> None:
    assert np.allclose(probabilities(top_k=2), [0, *softmax(np.array([3.0, 2.0])), 0, 0])


def test_top_p_keeps_the_smallest_set_that_reaches_the_mass() -> None:
    full = softmax(LOGITS)
    assert np.count_nonzero(probabilities(top_p=float(full[1]) - 1e-6)) == 1
    assert np.count_nonzero(probabilities(top_p=float(full[1]) + 1e-6)) == 2


def test_min_p_keeps_what_is_likely_enough_beside_the_best() -> None:
    assert np.count_nonzero(probabilities(min_p=0.3)) == 2
    assert np.count_nonzero(probabilities(min_p=0.4)) == 1


@settings(max_examples=200)
@given(
    st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30),
    st.floats(0.05, 5),
    st.integers(0, 40),
    st.floats(0.01, 1),
    st.floats(0, 1),
)
def test_any_limits_leave_a_distribution_with_the_best_token_in_it(
    values: Any, temperature: Any, top_k: Any, top_p: Any, min_p: Any
) -> None:
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    found = distribution(np.array(values, np.float64), params)
    assert found.sum() == pytest.approx(1)
    assert found[int(np.argmax(values))] > 0


def test_draws_follow_the_distribution() -> None:
    sampler = Sampler(SamplingParams(seed=1), [])
    counts = np.bincount([sampler.sample(LOGITS) for _ in range(20000)], minlength=5)
    expected = softmax(LOGITS) * 20000
    assert ((counts - expected) ** 2 / expected).sum() < 18.47  # chi-square, 4 degrees of freedom, alpha 0.001


def by_definition(logits: Any, params: Any) -> Any:
    """Temperature, top_k, top_p, min_p one after the other over a whole sorted vocabulary."""
    scaled = logits / params.temperature
    order = np.argsort(-scaled, kind="stable")
    if params.top_k:
        order = order[: params.top_k]
    kept = np.exp(scaled[order] - scaled[order[0]])
    kept /= kept.sum()
    kept[(np.cumsum(kept) - kept >= params.top_p) & (params.top_p < 1)] = 0
    kept[kept < params.min_p * kept[0]] = 0
    found = np.zeros_like(scaled)
    found[order] = kept / kept.sum()
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 3000),
    st.floats(0.05, 5),
    st.integers(0, 400),
    st.sampled_from([0.0137, 0.5171, 0.9071, 0.9531, 0.9999, 1.0]),
    st.sampled_from([0.0, 0.1013, 0.9017]),
    st.integers(0, 9),
)
@example(258, 3.0, 258, 0.9999, 0.0, 0)
def test_a_part_of_the_vocabulary_is_sorted_and_the_law_stays(
    size: Any, temperature: Any, top_k: Any, top_p: Any, min_p: Any, seed: Any
) -> None:
    logits = np.random.default_rng(seed).normal(size=size) * 4
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    found, expected = distribution(logits, params), by_definition(logits, params)
    assert np.array_equal(found > 0, expected > 0)
    assert np.allclose(found, expected, atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 3000),
    st.floats(0.05, 5),
    st.integers(0, 400),
    st.sampled_from([0.0137, 0.5171, 0.9071, 0.9531, 0.9999, 1.0]),
    st.sampled_from([0.0, 0.1013, 0.9017]),
    st.integers(0, 2**63 - 1),
    st.booleans(),
)
def test_native_draws_are_those_of_numpy(
    size: Any, temperature: Any, top_k: Any, top_p: Any, min_p: Any, seed: Any, has_ties: Any
) -> None:
    """Limits that no sum of equal masses meets exactly, for there the last bit of a sum decides."""
    random = np.random.default_rng(seed)
    logits = (random.integers(-3, 4, size) if has_ties else random.normal(size=size) * 4).astype(np.float32)
    logits[random.integers(0, size, size // 10)] = -np.inf
    logits[random.integers(0, size)] = 3.0
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    for row in (logits, logits.astype(np.float64)):
        for place in range(5):
            assert draw(row, params, seed, place) == draw_in_numpy(row.astype(np.float64), params, seed, place)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("row", [[math.nan, 3.0, -50.0], [math.nan] * 40, [-50.0] * 17 + [math.nan]], ids=str)
def test_a_native_draw_of_no_numbers_is_a_token_of_the_vocabulary(row: list[float], temperature: float) -> None:
    token = require_native().sample_token(np.array(row, np.float32), temperature, 0, 1.0, 0.0, 1, 1)
    assert token < len(row)
    assert len(row) != 3 or token == 1


def test_of_equally_likely_tokens_the_lower_numbers_stay() -> None:
    logits = np.tile([0.0, 5.0, 1.0], 1000)
    assert np.flatnonzero(distribution(logits, SamplingParams(top_k=3))).tolist() == [1, 4, 7]
    assert np.flatnonzero(distribution(logits, SamplingParams(top_p=0.1)))[-1] < 400


def test_draws_at_different_places_and_of_different_tokens_are_independent() -> None:
    """Pairs of draws, and ids far apart, against the product of their laws."""
    first, second = (np.array([noise(seed, place, np.arange(2)) for seed in range(20000)]) for place in (0, 1))
    picks = np.stack([first.argmax(1), second.argmax(1)])
    table = np.histogram2d(picks[0], picks[1], bins=2)[0]
    assert ((table - 5000) ** 2 / 5000).sum() < 16.27  # chi-square, 3 degrees of freedom, alpha 0.001
    uniform = np.exp(-np.exp(-noise(7, 3, np.arange(200_000))))
    counts = np.histogram(uniform, bins=50, range=(0, 1))[0]
    assert ((counts - 4000) ** 2 / 4000).sum() < 85.4  # 49 degrees of freedom


def test_a_draft_with_the_targets_logits_is_the_token_that_will_be_drawn() -> None:
    drafting, alone = (Sampler(SamplingParams(seed=5, temperature=1.5), []) for _ in range(2))
    drafts = [drafting.draft(LOGITS, ahead) for ahead in range(6)]
    assert drafts == [alone.sample(LOGITS) for _ in range(6)]


def test_a_seed_repeats_its_draws_and_another_seed_does_not() -> None:
    def draws(seed: Any) -> Any:
        sampler = Sampler(SamplingParams(seed=seed), [])
        return [sampler.sample(LOGITS) for _ in range(50)]

    assert draws(3) == draws(3) != draws(4)
    assert draws(-1) == draws(-1)


def test_penalties_bias_and_forbidden_tokens_change_the_greedy_choice() -> None:
    def greedy(times: Any = 1, prompt: Any = (), forbidden: Any = frozenset(), **params: Any) -> Any:
        sampler = Sampler(SamplingParams(temperature=0, **params), list(prompt))
        return [sampler.sample(LOGITS, forbidden) for _ in range(times)]

    assert greedy() == [1]
    assert greedy(forbidden=frozenset({1})) == [2]
    assert greedy(logit_bias={4: 10.0}) == [4]
    assert greedy(3, presence_penalty=1.5) == [1, 2, 1]
    assert greedy(3, frequency_penalty=1.1) == [1, 2, 1]
    assert greedy(prompt=[1], repetition_penalty=2.0) == [2]


def test_logprobs_are_of_the_raw_logits() -> None:
    found = token_logprob(LOGITS, 2, 2)
    expected = np.log(softmax(LOGITS))
    assert found.logprob == pytest.approx(expected[2])
    assert [token for token, _ in found.top] == [1, 2]
    assert np.exp(log_softmax(LOGITS)).sum() == pytest.approx(1)
