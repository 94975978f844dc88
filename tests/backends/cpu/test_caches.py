"""Attention over each type of KV cache, beside an oracle of plain numpy and torch's own FP8."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.backends.native_op import run_native
from trtnemo import _native
from trtnemo.graph.ops import Attention

QUERY_HEADS, KV_HEADS, TOKENS = 26, 2, 75  # 13 query heads a KV head: eight together, four, one alone; three pages


def made(head_dim: int) -> list[torch.Tensor]:
    """Return queries, keys and values; some keys are large and some tokens zero, as FP8 likes least."""
    draw = torch.Generator().manual_seed(head_dim)
    queries, keys, values = (
        torch.randn((TOKENS, heads * head_dim), generator=draw) for heads in (QUERY_HEADS, KV_HEADS, KV_HEADS)
    )
    keys[3] *= 1000.0
    values[5] = 0.0
    values[7] *= 1e-30
    return [queries, keys, values]


def rounded(rows: torch.Tensor, head_dim: int, cache: str) -> torch.Tensor:
    """Return what a cache gives back of rows: FP8 with a factor for each token and head."""
    if cache == "float32":
        return rows
    if cache == "float16":
        return rows.half().float()
    heads = rows.reshape(TOKENS, KV_HEADS, head_dim)
    factor = heads.abs().amax(-1, keepdim=True) / 448
    codes = torch.where(factor > 0, heads / factor, torch.zeros(())).to(torch.float8_e4m3fn)
    return (codes.float() * factor).reshape(rows.shape)


def attended(inputs: list[torch.Tensor], head_dim: int, cache: str) -> torch.Tensor:
    """Return causal attention in float64."""
    queries = inputs[0].double().reshape(TOKENS, KV_HEADS, -1, head_dim)
    keys, values = (rounded(rows, head_dim, cache).double().reshape(TOKENS, KV_HEADS, head_dim) for rows in inputs[1:])
    scores = torch.einsum("tkgd,skd->tkgs", queries, keys) / math.sqrt(head_dim)
    later = torch.triu(torch.ones(TOKENS, TOKENS, dtype=torch.bool), 1)
    weights = scores.masked_fill(later[:, None, None], -math.inf).softmax(-1)
    return torch.einsum("tkgs,skd->tkgd", weights, values).reshape(TOKENS, -1)


@pytest.mark.parametrize("head_dim", [32, 40, 128])
@pytest.mark.parametrize("cache", ["float32", "float16", "fp8"])
def test_attention_is_that_of_the_rounded_keys_and_values(cache: str, head_dim: int) -> None:
    op, inputs = Attention(query_heads=QUERY_HEADS, kv_heads=KV_HEADS, head_dim=head_dim), made(head_dim)
    found = run_native(op, inputs, {}, (), kv_cache=cache)
    expected = attended(inputs, head_dim, cache)
    assert (found.double() - expected).abs().max() < 3e-4  # scores of the large key are float32, too


@pytest.mark.parametrize("cache", ["float32", "float16", "fp8"])
def test_chunks_and_kernels_change_no_bit(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    op, inputs = Attention(query_heads=QUERY_HEADS, kv_heads=KV_HEADS, head_dim=64), made(64)
    whole = run_native(op, inputs, {}, (), kv_cache=cache)
    for name in _native.kernel_names():
        monkeypatch.setenv("TRTNEMO_CPU", name)
        assert np.array_equal(run_native(op, inputs, {}, (1, 17, 32, 33, 70), kv_cache=cache).numpy(), whole.numpy())


def test_a_value_that_is_no_number_stays_none_in_fp8() -> None:
    op, inputs = Attention(query_heads=QUERY_HEADS, kv_heads=KV_HEADS, head_dim=32), made(32)
    inputs[2][10, 3] = math.nan
    found: Any = run_native(op, inputs, {}, (), kv_cache="fp8")
    assert torch.isfinite(found[:10]).all()
    own = QUERY_HEADS // KV_HEADS * 32  # columns of the first KV head's query heads
    assert not torch.isfinite(found[10:, :own]).any()
    assert torch.isfinite(found[10:, own:]).all()
