"""Attention over pages, interpreted: one span and several, drafts, long prompts beside decoding."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trtnemo.backends.cuda.attention import Reach, attend, write
from trtnemo.backends.cuda.ops import PagedCaches
from trtnemo.graph.ops import Attention
from trtnemo.kernels.launch import Launcher

CPU = torch.device("cpu")
DRAW = torch.Generator().manual_seed(0)


def expected(op: Any, q: Any, keys: Any, values: Any, position: int) -> Any:
    shared = op.query_heads // op.kv_heads
    q = q.reshape(len(q), op.query_heads, op.head_dim)
    keys, values = (x.repeat_interleave(shared, dim=1) for x in (keys, values))
    scores = torch.einsum("thd,shd->hts", q, keys) * op.head_dim**-0.5
    seen = torch.arange(len(keys))[None, :] <= torch.arange(position, position + len(q))[:, None]
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    return torch.einsum("hts,shd->thd", weights, values).reshape(len(q), -1)


@pytest.mark.parametrize(("heads", "kv", "dim"), [(4, 2, 64), (6, 1, 24), (32, 2, 32)])
def test_segments_see_what_stands_before_them(heads: int, kv: int, dim: int) -> None:
    op = Attention(query_heads=heads, kv_heads=kv, head_dim=dim)
    tokens = {0: (4, 1200), 1: (1, 3), 2: (20, 50)}  # new ones and those before; slot 0 needs two spans
    pages = 20
    caches = PagedCaches(
        torch.full((3 * pages, 64, kv, dim), float("nan")),
        torch.full((3 * pages, 64, kv, dim), float("nan")),
        torch.randperm(3 * pages, generator=DRAW).to(torch.int32).reshape(3, pages),
    )
    rows = torch.randn(25, (heads + 2 * kv) * dim, generator=DRAW)
    segments, start, want = [], 0, []
    for slot, (new, before) in tokens.items():
        old = torch.randn(2, before, kv, dim, generator=DRAW)
        for cache, values in zip((caches.keys, caches.values), old, strict=True):
            for position in range(before):
                cache[caches.table[slot, position // 64], position % 64] = values[position]
        mine = rows[start : start + new]
        q, k, v = torch.split(mine, [heads * dim, kv * dim, kv * dim], dim=1)
        keys, values = (torch.cat([a, b.reshape(new, kv, dim)]) for a, b in zip(old, (k, v), strict=True))
        want.append(expected(op, q, keys, values, before))
        segments.append([slot, start, new, before, 0, 0, new, 0])
        start += new
    table = torch.tensor(segments, dtype=torch.int32)
    parts: Any = [(table[:2], Reach(4, 1204)), (table[2:], Reach(20, 70))]
    offsets = (0, heads * dim, (heads + kv) * dim)
    launch = Launcher(CPU, "mma")
    write(launch, op, rows, offsets, caches, parts)
    found = attend(launch, op, rows, offsets, caches, parts, torch.float32)
    assert torch.allclose(found, torch.cat(want), atol=1e-5)
    assert launch.counts["merge_kernel"] == 1


def test_a_token_has_the_same_bits_beside_a_longer_sequence() -> None:
    op = Attention(query_heads=4, kv_heads=2, head_dim=32)
    shape = (40, 64, 2, 32)
    caches = PagedCaches(
        torch.randn(shape, generator=DRAW), torch.randn(shape, generator=DRAW),
        torch.arange(40, dtype=torch.int32).reshape(2, 20),
    )  # fmt: skip
    rows = torch.randn(2, 8 * 32, generator=DRAW)
    table = torch.tensor([[0, 0, 1, 70, 0, 0, 1, 0], [1, 1, 1, 1100, 0, 0, 1, 0]], dtype=torch.int32)
    launch, offsets, none = Launcher(CPU, "mma"), (0, 128, 192), (table[2:], Reach(0, 0))
    found = []
    for chosen, reach in ((table[:1], Reach(1, 71)), (table, Reach(1, 1101))):
        write(launch, op, rows, offsets, caches, [(chosen, reach), none])
        found.append(attend(launch, op, rows, offsets, caches, [(chosen, reach), none], torch.float32)[0])
    assert torch.equal(*found)


def test_fp8_caches_hold_what_torch_rounds_times_a_scale() -> None:
    """Keys and values as torch's E4M3, with a scale each; sums in float32 beside torch's."""
    op, scales = Attention(query_heads=4, kv_heads=2, head_dim=32), (0.5, 2.0)
    keys, values = (torch.full((4, 64, 2, 32), 0x7F, dtype=torch.uint8) for _ in range(2))
    caches = PagedCaches(keys, values, torch.arange(4, dtype=torch.int32)[None])
    rows = torch.randn(70, 8 * 32, generator=DRAW) * 3
    table = torch.tensor([[0, 0, 70, 0, 0, 0, 70, 0]], dtype=torch.int32)
    parts: Any = [(table, Reach(70, 70))]
    launch = Launcher(CPU, "mma")
    write(launch, op, rows, (0, 128, 192), caches, parts, scales)
    found = attend(launch, op, rows, (0, 128, 192), caches, parts, torch.float32, scales)
    q, *kv = torch.split(rows, [128, 64, 64], dim=1)
    kept = [
        ((part / scale).to(torch.float8_e4m3fn).float() * scale).reshape(70, 2, 32)
        for part, scale in zip(kv, scales, strict=True)
    ]
    # scores reach a hundred: float32 keeps their weights to a hundred times its step
    assert torch.allclose(found, expected(op, q, kept[0], kept[1], 0), atol=1e-4)
    codes = caches.keys.reshape(-1, 64)[:70].view(torch.float8_e4m3fn).float() * scales[0]
    assert torch.equal(codes.reshape(70, 2, 32), kept[0])
