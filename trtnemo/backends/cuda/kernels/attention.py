"""Causal attention over paged caches: keys and values written first, then runs of keys beside each other, then merged.

Runs of SPAN tokens begin at multiples of SPAN, so that no sum depends on how many sequences there are.
"""

from __future__ import annotations

import triton
import triton.language as tl

from trtnemo.kernels.dependent import follow
from trtnemo.kernels.e4m3 import from_e4m3, to_e4m3
from trtnemo.kernels.segments import FIELDS, LENGTH, SLOT, START, TOKENS
from trtnemo.kernels.segments import ROWS as ALL_ROWS
from trtnemo.kernels.tiles import operand


@triton.jit
def write_kernel(
    projected_ptr, keys_ptr, values_ptr, table_ptr, segments_ptr, stride, k_offset, v_offset, pages, k_scale, v_scale,
    KV: tl.constexpr, BLOCK: tl.constexpr, PAGE: tl.constexpr, FP8: tl.constexpr,
):  # fmt: skip
    """Write the keys and values of a segment's tokens into their pages; a program takes one token in PROGRAMS."""
    follow()
    segment = tl.program_id(0)
    about = segments_ptr + segment * FIELDS
    slot, start = tl.load(about + SLOT), tl.load(about + START)
    tokens, length = tl.load(about + TOKENS), tl.load(about + LENGTH)
    channel = tl.arange(0, BLOCK)
    mask = channel < KV
    token = tl.program_id(1)
    while token < tokens:
        position = length + token
        page = tl.load(table_ptr + slot * pages + position // PAGE)
        place = (page.to(tl.int64) * PAGE + position % PAGE) * KV + channel
        row = projected_ptr + (start + token).to(tl.int64) * stride + channel
        key, value = tl.load(row + k_offset, mask=mask, other=0.0), tl.load(row + v_offset, mask=mask, other=0.0)
        if FP8:
            tl.store(keys_ptr + place, to_e4m3(key.to(tl.float32) / k_scale), mask=mask)
            tl.store(values_ptr + place, to_e4m3(value.to(tl.float32) / v_scale), mask=mask)
        else:
            tl.store(keys_ptr + place, key.to(keys_ptr.dtype.element_ty), mask=mask)
            tl.store(values_ptr + place, value.to(values_ptr.dtype.element_ty), mask=mask)
        token += tl.num_programs(1)


@triton.jit(do_not_specialize=["spans", "most_tokens"])
def attention_kernel(
    projected_ptr, keys_ptr, values_ptr, table_ptr, segments_ptr, out_ptr, sums_ptr, stride, q_offset, pages, spans,
    most_tokens, scale, v_scale, HEADS: tl.constexpr, KV_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr,
    HEAD_BLOCK: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, PAGE: tl.constexpr, SPAN: tl.constexpr,
    PARTS: tl.constexpr, FP8: tl.constexpr,
):  # fmt: skip
    """One program: a sequence, a KV head with its query heads, ROWS of (token, query head), one span of keys.

    Writes the output, or with PARTS the span's weighted sum, its largest score and the sum of its weights. scale: of
    scores, that of the keys included.
    """
    follow()
    segment, kv_head, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    SHARED: tl.constexpr = HEADS // KV_HEADS
    about = segments_ptr + segment * FIELDS
    slot, start = tl.load(about + SLOT), tl.load(about + START)
    tokens, length = tl.load(about + TOKENS), tl.load(about + LENGTH)
    span, first_row = part % spans, part // spans * ROWS
    rows = tl.load(about + ALL_ROWS)
    if first_row >= rows * SHARED:
        return
    row = first_row + tl.arange(0, ROWS)
    token, head = row // SHARED, kv_head * SHARED + row % SHARED
    is_row = token < rows  # those behind the tokens see no keys, and are zeros
    channel, index = tl.arange(0, HEAD_BLOCK), tl.arange(0, KEYS)
    is_channel = channel < HEAD_DIM
    place = (start + token).to(tl.int64)
    q_mask = is_row[:, None] & is_channel[None, :]
    q = tl.load(
        projected_ptr + (place * stride + q_offset + head * HEAD_DIM)[:, None] + channel[None, :],
        mask=q_mask,
        other=0.0,
    )
    position = length + token
    last = tl.minimum(first_row + ROWS - 1, tokens * SHARED - 1) // SHARED + length + 1
    at = span * SPAN
    end = last
    if PARTS:
        end = tl.minimum(last, at + SPAN)
    largest = tl.full((ROWS,), 0.0, tl.float32) - 1e30
    weights = tl.full((ROWS,), 0.0, tl.float32)
    total = tl.full((ROWS, HEAD_BLOCK), 0.0, tl.float32)
    while at < end:
        key = at + index
        is_key = key < end
        page = tl.load(table_ptr + slot * pages + key // PAGE, mask=is_key, other=0)
        cell = ((page.to(tl.int64) * PAGE + key % PAGE) * KV_HEADS + kv_head) * HEAD_DIM
        mask = is_key[:, None] & is_channel[None, :]
        k = tl.load(keys_ptr + cell[:, None] + channel[None, :], mask=mask, other=0)
        v = tl.load(values_ptr + cell[:, None] + channel[None, :], mask=mask, other=0)
        if FP8:
            k, v = from_e4m3(k), from_e4m3(v)
        scores = tl.dot(operand(q), operand(tl.trans(k)), input_precision="ieee") * scale
        seen = is_key[None, :] & (key[None, :] <= tl.where(token < tokens, position, -1)[:, None])
        scores = tl.where(seen, scores, -1e30)
        now = tl.maximum(largest, tl.max(scores, 1))
        p = tl.where(scores > -1e29, tl.exp(scores - now[:, None]), 0.0)
        fade = tl.exp(largest - now)
        weights = weights * fade + tl.sum(p, 1)
        total = total * fade[:, None] + tl.dot(operand(p), operand(v), input_precision="ieee")
        largest = now
        at += KEYS
    total = total * v_scale
    if PARTS:
        cell = (((segment * most_tokens + token) * spans + span) * HEADS + head).to(tl.int64)[:, None]
        tl.store(out_ptr + cell * HEAD_DIM + channel[None, :], total, mask=q_mask)
        side = sums_ptr + (((segment * most_tokens + token) * spans + span) * HEADS + head).to(tl.int64) * 2
        tl.store(side, largest, mask=is_row)
        tl.store(side + 1, weights, mask=is_row)
    else:
        cell = (place * HEADS + head)[:, None] * HEAD_DIM + channel[None, :]
        tl.store(out_ptr + cell, total / tl.maximum(weights, 1e-30)[:, None], mask=q_mask)


@triton.jit(do_not_specialize=["spans"])
def merge_kernel(
    parts_ptr, sums_ptr, segments_ptr, out_ptr, spans, HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, HEAD_BLOCK:
    tl.constexpr,
):  # fmt: skip
    """Add the spans of a head of a segment's token, in order."""
    follow()
    about, token, head = segments_ptr + tl.program_id(0) * FIELDS, tl.program_id(1), tl.program_id(2)
    if token >= tl.load(about + ALL_ROWS):
        return
    row = tl.load(about + START) + token
    channel = tl.arange(0, HEAD_BLOCK)
    mask = channel < HEAD_DIM
    largest, weights = tl.full((1,), 0.0, tl.float32) - 1e30, tl.full((1,), 0.0, tl.float32)
    total = tl.full((HEAD_BLOCK,), 0.0, tl.float32)
    for span in range(spans):
        part = tl.program_id(0) * tl.num_programs(1) + token
        cell = (part.to(tl.int64) * spans + span) * HEADS + head
        one = tl.full((1,), 0, tl.int64)
        found, weight = tl.load(sums_ptr + cell * 2 + one), tl.load(sums_ptr + cell * 2 + 1 + one)
        values = tl.load(parts_ptr + cell * HEAD_DIM + channel, mask=mask, other=0.0)
        now = tl.maximum(largest, found)
        fade, share = tl.exp(largest - now), tl.exp(found - now)
        total = total * fade + values * share
        weights = weights * fade + weight * share
        largest = now
    place = (row.to(tl.int64) * HEADS + head) * HEAD_DIM + channel
    tl.store(out_ptr + place, total / tl.maximum(weights, 1e-30), mask=mask)
