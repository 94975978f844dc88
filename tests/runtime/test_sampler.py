"""Sampling: what each parameter leaves, and draws that follow the distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trtnemo.runtime import SamplingParams
from trtnemo.runtime.sampler import Sampler, distribution, log_softmax, token_logprob

LOGITS = np.array([1.0, 3.0, 2.0, -1.0, 0.0], np.float32)


def probabilities(**params):
    return distribution(LOGITS.astype(np.float64), SamplingParams(**params))


def softmax(values):
    weights = np.exp(values - values.max())
    return weights / weights.sum()


def test_without_limits_it_is_the_softmax_at_its_temperature():
    assert np.allclose(probabilities(), softmax(LOGITS))
    assert np.allclose(probabilities(temperature=2.0), softmax(LOGITS / 2))


def test_top_k_keeps_the_k_best():
    assert np.allclose(probabilities(top_k=2), [0, *softmax(np.array([3.0, 2.0])), 0, 0])


def test_top_p_keeps_the_smallest_set_that_reaches_the_mass():
    full = softmax(LOGITS)
    assert np.count_nonzero(probabilities(top_p=float(full[1]) - 1e-6)) == 1
    assert np.count_nonzero(probabilities(top_p=float(full[1]) + 1e-6)) == 2


def test_min_p_keeps_what_is_likely_enough_beside_the_best():
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
def test_any_limits_leave_a_distribution_with_the_best_token_in_it(values, temperature, top_k, top_p, min_p):
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    found = distribution(np.array(values, np.float64), params)
    assert found.sum() == pytest.approx(1)
    assert found[int(np.argmax(values))] > 0


def test_draws_follow_the_distribution():
    sampler = Sampler(SamplingParams(seed=1), [])
    counts = np.bincount([sampler.sample(LOGITS) for _ in range(20000)], minlength=5)
    expected = softmax(LOGITS) * 20000
    assert ((counts - expected) ** 2 / expected).sum() < 18.47  # chi-square, 4 degrees of freedom, alpha 0.001


def test_a_seed_repeats_its_draws_and_another_seed_does_not():
    def draws(seed):
        sampler = Sampler(SamplingParams(seed=seed), [])
        return [sampler.sample(LOGITS) for _ in range(50)]

    assert draws(3) == draws(3) != draws(4)
    assert draws(-1) == draws(-1)


def test_penalties_bias_and_forbidden_tokens_change_the_greedy_choice():
    def greedy(times=1, prompt=(), forbidden=frozenset(), **params):
        sampler = Sampler(SamplingParams(temperature=0, **params), list(prompt))
        return [sampler.sample(LOGITS, forbidden) for _ in range(times)]

    assert greedy() == [1]
    assert greedy(forbidden=frozenset({1})) == [2]
    assert greedy(logit_bias={4: 10.0}) == [4]
    assert greedy(3, presence_penalty=1.5) == [1, 2, 1]
    assert greedy(3, frequency_penalty=1.1) == [1, 2, 1]
    assert greedy(prompt=[1], repetition_penalty=2.0) == [2]


def test_logprobs_are_of_the_raw_logits():
    found = token_logprob(LOGITS, 2, 2)
    expected = np.log(softmax(LOGITS))
    assert found.logprob == pytest.approx(expected[2])
    assert [token for token, _ in found.top] == [1, 2]
    assert np.exp(log_softmax(LOGITS)).sum() == pytest.approx(1)
