"""Attention of a ragged step over the pages of all slots."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trtnemo.backends.cuda.kernels.attention import attention_kernel, merge_kernel, write_kernel
from trtnemo.backends.cuda.pages import PAGE
from trtnemo.graph.ops import Attention
from trtnemo.kernels.launch import Launcher

SPAN = 1024  # tokens that one program of a decode step reads
_ROWS, _FEW_ROWS = 32, 128  # of a program; of a segment whose keys are read side by side


Scales = tuple[float, float]  # what the codes of a layer's keys, and of its values, are multiplied by
ONE: Scales = (1.0, 1.0)


@dataclass(frozen=True)
class Caches:
    """Keys and values [pages, PAGE, kv_heads, head_dim] of one layer, and the pages of each slot [slots, pages].

    uint8 are E4M3 codes, each times the layer's own scale.
    """

    keys: Tensor
    values: Tensor
    table: Tensor

    @property
    def is_fp8(self) -> bool:
        """Whether they are E4M3 codes."""
        return self.keys.dtype is torch.uint8


@dataclass(frozen=True)
class Reach:
    """What the host knows of some segments: the most tokens of one, and the most keys that one of them reads."""

    tokens: int
    keys: int


def write(
    launch: Launcher,
    op: Attention,
    projected: Tensor,
    offsets: tuple[int, int, int],
    caches: Caches,
    parts: list[tuple[Tensor, Reach]],
    scales: Scales = ONE,
) -> None:
    """Write keys and values of a step's tokens into their pages: columns of `projected` from `offsets` on."""
    width = op.kv_heads * op.head_dim
    for segments, reach in parts:
        launch(
            write_kernel,
            (len(segments), min(reach.tokens, 64)),
            projected,
            caches.keys,
            caches.values,
            caches.table,
            segments,
            projected.stride(0),
            offsets[1],
            offsets[2],
            caches.table.shape[1],
            *scales,
            KV=width,
            BLOCK=1 << (width - 1).bit_length(),
            PAGE=PAGE,
            FP8=caches.is_fp8,
            num_warps=4,
        )


def attend(
    launch: Launcher,
    op: Attention,
    projected: Tensor,
    offsets: tuple[int, int, int],
    caches: Caches,
    parts: list[tuple[Tensor, Reach]],
    dtype: torch.dtype,
    scales: Scales = ONE,
) -> Tensor:
    """Return [rows, query_heads * head_dim], of tokens whose keys and values are in their pages.

    parts: segments (`kernels/segments.py`), and how far they reach; keys of short ones are read side by side.
    """
    rows, device = len(projected), projected.device
    out = torch.empty(rows, op.query_heads * op.head_dim, dtype=dtype, device=device)
    block = max(16, 1 << (op.head_dim - 1).bit_length())
    shared = op.query_heads // op.kv_heads
    pages = caches.table.shape[1]
    for segments, reach in parts:
        if not len(segments):
            continue
        is_few = reach.tokens * shared <= _FEW_ROWS
        spans = -(-reach.keys // SPAN) if is_few else 1
        blocks = -(-reach.tokens * shared // _ROWS)
        sums, into = out, out
        if spans > 1:
            cells = len(segments) * reach.tokens  # not the step's rows: a prompt may run beside a long sequence
            into = torch.empty(cells, spans, op.query_heads, op.head_dim, device=device)
            sums = torch.empty(cells, spans, op.query_heads, 2, device=device)
        launch(
            attention_kernel,
            (len(segments), op.kv_heads, blocks * spans),
            projected,
            caches.keys,
            caches.values,
            caches.table,
            segments,
            into,
            sums,
            projected.stride(0),
            offsets[0],
            pages,
            spans,
            reach.tokens,
            op.head_dim**-0.5 * scales[0],
            scales[1],
            HEADS=op.query_heads,
            KV_HEADS=op.kv_heads,
            HEAD_DIM=op.head_dim,
            HEAD_BLOCK=block,
            ROWS=_ROWS,
            KEYS=32,  # 64 spill on 8.6 and, with narrow heads, on 9.0
            PAGE=PAGE,
            SPAN=SPAN,
            PARTS=spans > 1,
            FP8=caches.is_fp8,
            num_warps=4,
            num_stages=1,
        )
        if spans > 1:
            launch(
                merge_kernel,
                (len(segments), reach.tokens, op.query_heads),
                into,
                sums,
                segments,
                out,
                spans,
                HEADS=op.query_heads,
                HEAD_DIM=op.head_dim,
                HEAD_BLOCK=block,
                num_warps=1,
            )
    return out
