"""Tokens that a device draws, beside the sampler of the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from trtnemo.backends.cuda.steps.draw import NO_NUMBER, NOT_KNOWN, draw_tokens, tell_draws
from trtnemo.backends.draw import Draw
from trtnemo.kernels.launch import Launcher
from trtnemo.runtime.sampler import draw
from trtnemo.runtime.sampling_params import SamplingParams

RULES: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {"temperature": 1.0},
    {"temperature": 0.3, "top_p": 0.95},
    {"temperature": 1.0, "top_p": 0.95},
    {"temperature": 0.6, "top_k": 20, "top_p": 0.8},
    {"temperature": 1.2, "top_k": 40, "top_p": 0.95},
    {"temperature": 1.0, "min_p": 0.05},
    {"temperature": 0.7, "top_k": 1},
    {"temperature": 2.0, "top_k": 64, "min_p": 0.1},
    {"temperature": 0.5, "top_k": 10**6},
]


def draw_all(logits: torch.Tensor, draws: list[Draw], **options: Any) -> list[int]:
    real, whole = torch.zeros(len(draws), 4, dtype=torch.float64), torch.zeros(len(draws), 4, dtype=torch.int64)
    tell_draws(draws, real, whole)
    restricted = any(one.is_restricted(logits.shape[1]) for one in draws)
    launch = Launcher(torch.device("cpu"), "mma")
    return draw_tokens(launch, logits, real, whole, restricted=restricted, **options).tolist()


def on_host(row: torch.Tensor, one: Draw) -> int:
    params = SamplingParams(temperature=one.temperature, top_k=one.top_k, top_p=one.top_p, min_p=one.min_p)
    return int(np.argmax(row.numpy())) if one.temperature == 0 else draw(row.numpy(), params, one.seed, one.place)


@pytest.mark.parametrize(("rule", "vocabulary"), [*((rule, 1500) for rule in RULES), (RULES[3], 100)], ids=str)
def test_a_device_draws_the_token_that_the_host_draws(rule: dict[str, Any], vocabulary: int) -> None:
    logits = torch.randn(6, vocabulary, generator=torch.Generator().manual_seed(vocabulary)) * 4
    logits[:2] = (logits[:2] * 2).round() / 2  # many that are equal
    draws = [Draw(**rule, seed=2**62 + 7 * row, place=100 * row) for row in range(6)]
    assert draw_all(logits, draws) == [on_host(row, one) for row, one in zip(logits, draws, strict=True)]


def test_rows_of_one_step_are_drawn_by_rules_of_their_own() -> None:
    logits = torch.randn(len(RULES), 2000, generator=torch.Generator().manual_seed(5)) * 5
    draws = [Draw(**rule, seed=row, place=row) for row, rule in enumerate(RULES)]
    assert draw_all(logits, draws) == [on_host(row, one) for row, one in zip(logits, draws, strict=True)]


def test_a_row_that_needs_more_candidates_than_are_kept_is_left_to_the_host() -> None:
    flat = torch.zeros(2, 3000)
    flat[1, 7] = 50.0
    draws = [Draw(1.0, top_p=0.9, seed=1), Draw(1.0, top_p=0.9, seed=1)]
    assert draw_all(flat, draws) == [NOT_KNOWN, 7]
    assert 0 <= draw_all(flat, draws, guess=True)[0] < 3000


def test_more_candidates_than_are_kept_are_left_to_the_host_with_top_p_too() -> None:
    logits = torch.randn(6, 1500, generator=torch.Generator().manual_seed(0)) * 2
    draws = [Draw(1.0, top_k=700, top_p=0.95, seed=row) for row in range(6)]
    assert draw_all(logits, draws) == [NOT_KNOWN] * 6
    assert all(0 <= token < 1500 for token in draw_all(logits, draws, guess=True))


def test_a_guess_from_no_numbers_is_a_token() -> None:
    assert draw_all(torch.full((2, 700), float("nan")), [Draw(), Draw(1.0, top_p=0.5)], guess=True) == [0, 0]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_logit_that_is_no_number_is_told_of_its_row_alone(number: float) -> None:
    logits = torch.zeros(3, 2000)
    logits[1, 1500] = number
    assert draw_all(logits, [Draw(), Draw(), Draw(1.0, top_p=0.5)])[:2] == [0, NO_NUMBER]
