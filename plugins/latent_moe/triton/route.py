"""Which experts each row goes to, and with what weight; then the pairs of row and expert in blocks of one expert."""

from __future__ import annotations

import triton
import triton.language as tl

from trtnemo.kernels.dependent import follow
from trtnemo.kernels.helper import helper
from trtnemo.kernels.product import product


@helper
def _route(
    first, logits_ptr, bias_ptr, picks_ptr, weights_ptr, rows, stride, factor, EXPERTS: tl.constexpr, BLOCK:
    tl.constexpr, TOP_K: tl.constexpr, GROUPS: tl.constexpr, TOP_GROUPS: tl.constexpr, NORMALIZE: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    """Write each row's TOP_K experts in ascending order, and their weights; of two equal ones the lower is picked."""
    row = first + tl.arange(0, ROWS)
    expert = tl.arange(0, BLOCK)
    is_row, is_expert = row < rows, expert < EXPERTS
    mask = is_row[:, None] & is_expert[None, :]
    logits = tl.load(logits_ptr + row[:, None].to(tl.int64) * stride + expert[None, :], mask=mask, other=0.0)
    scores = 1.0 / (1.0 + tl.exp(-logits.to(tl.float32)))
    choice = scores + tl.load(bias_ptr + expert, mask=is_expert, other=0.0)[None, :]
    # what is no number is picked last, and once: the experts that are written must be there
    choice = tl.where(choice == choice, choice, -1e30)
    choice = tl.where(is_expert[None, :], choice, float("-inf"))
    if GROUPS > 1:
        choice = _of_best_groups(choice, expert, EXPERTS // GROUPS, GROUPS, TOP_GROUPS)
    is_picked = tl.full((ROWS, BLOCK), 0, tl.int32)
    for _ in range(TOP_K):
        best = tl.argmax(choice, 1)
        is_best = expert[None, :] == best[:, None]
        is_picked = tl.where(is_best, 1, is_picked)
        choice = tl.where(is_best, float("-inf"), choice)
    weights = tl.where(is_picked > 0, scores, 0.0)
    if NORMALIZE:
        weights = weights / (tl.sum(weights, 1)[:, None] + 1e-20)
    place = row[:, None] * TOP_K + tl.cumsum(is_picked, 1) - 1
    kept = is_row[:, None] & (is_picked > 0)
    tl.store(picks_ptr + place, tl.full((ROWS, BLOCK), 0, tl.int32) + expert[None, :], mask=kept)
    tl.store(weights_ptr + place, weights * factor, mask=kept)


@helper
def _of_best_groups(choice, expert, SIZE: tl.constexpr, GROUPS: tl.constexpr, TOP_GROUPS: tl.constexpr):
    """Leave only experts of the groups whose two best scores add up highest."""
    group = expert // SIZE
    of_group = tl.zeros_like(choice) + float("-inf")
    for number in tl.static_range(GROUPS):
        mine = tl.where(group[None, :] == number, choice, float("-inf"))
        first = tl.max(mine, 1)
        total = first
        if SIZE > 1:
            rest = tl.where(expert[None, :] == tl.argmax(mine, 1)[:, None], float("-inf"), mine)
            total = first + tl.max(rest, 1)
        of_group = tl.where(expert[None, :] == number, total[:, None], of_group)
    left = tl.zeros_like(choice) + float("-inf")
    for _ in tl.static_range(TOP_GROUPS):
        best = tl.argmax(of_group, 1)
        left = tl.where(group[None, :] == best[:, None], choice, left)
        of_group = tl.where(expert[None, :] == best[:, None], float("-inf"), of_group)
    return left


@helper
def _group(
    picks_ptr, order_ptr, blocks_ptr, pairs, count, EXPERTS: tl.constexpr, BLOCK: tl.constexpr, PAIRS: tl.constexpr,
    SIZE: tl.constexpr, ROUNDS: tl.constexpr,
):  # fmt: skip
    """Write the pairs by expert, and `count` blocks (expert, first pair, pairs, 0) of at most SIZE."""
    pair = tl.arange(0, PAIRS)
    expert = tl.load(picks_ptr + pair, mask=pair < pairs, other=BLOCK)
    ordered = tl.sort(expert * PAIRS + pair)
    tl.store(order_ptr + pair, ordered % PAIRS, mask=pair < pairs)
    number = tl.arange(0, BLOCK)
    sizes = tl.histogram(expert, BLOCK, mask=pair < pairs)
    first = tl.cumsum(sizes, 0) - sizes
    blocks = (sizes + SIZE - 1) // SIZE
    place = tl.cumsum(blocks, 0) - blocks
    used = tl.sum(blocks, 0)
    for round in tl.static_range(ROUNDS):
        mask = (blocks > round) & (number < EXPERTS)
        about = blocks_ptr + (place + round) * 4
        tl.store(about, number, mask=mask)
        tl.store(about + 1, first + round * SIZE, mask=mask)
        tl.store(about + 2, tl.minimum(sizes - round * SIZE, SIZE), mask=mask)
    spare = tl.arange(0, PAIRS)  # there are never more blocks than pairs
    tl.store(blocks_ptr + spare * 4 + 2, tl.zeros_like(spare), mask=(spare >= used) & (spare < count))


@triton.jit(do_not_specialize=["rows"])
def route_kernel(
    logits_ptr, bias_ptr, picks_ptr, weights_ptr, rows, stride, factor, EXPERTS: tl.constexpr, BLOCK: tl.constexpr,
    TOP_K: tl.constexpr, GROUPS: tl.constexpr, TOP_GROUPS: tl.constexpr, NORMALIZE: tl.constexpr, ROWS:
    tl.constexpr,
):  # fmt: skip
    """Route ROWS rows a program."""
    follow()
    _route(
        tl.program_id(0) * ROWS, logits_ptr, bias_ptr, picks_ptr, weights_ptr, rows, stride, factor, EXPERTS, BLOCK,
        TOP_K, GROUPS, TOP_GROUPS, NORMALIZE, ROWS,
    )  # fmt: skip


@helper
def route_one(
    row, order_ptr, blocks_ptr, lock_ptr, count, logits_ptr, bias_ptr, picks_ptr, weights_ptr, rows, stride, factor,
    EXPERTS: tl.constexpr, BLOCK: tl.constexpr, TOP_K: tl.constexpr, GROUPS: tl.constexpr, TOP_GROUPS: tl.constexpr,
    NORMALIZE: tl.constexpr, PAIRS: tl.constexpr, SIZE: tl.constexpr, ROUNDS: tl.constexpr,
):  # fmt: skip
    """Route one row of a step of few; the last program to have done so writes all pairs by expert."""
    _route(
        row, logits_ptr, bias_ptr, picks_ptr, weights_ptr, rows, stride, factor, EXPERTS, BLOCK, TOP_K, GROUPS,
        TOP_GROUPS, NORMALIZE, 1,
    )  # fmt: skip
    tl.debug_barrier()  # all threads of the program have written before one tells the others
    if tl.atomic_add(lock_ptr, 1) == rows - 1:
        tl.debug_barrier()
        _group(picks_ptr, order_ptr, blocks_ptr, rows * TOP_K, count, EXPERTS, BLOCK, PAIRS, SIZE, ROUNDS)
        tl.store(lock_ptr, 0)


@triton.jit(do_not_specialize=["rows", "count"])
def route_few_kernel(
    order_ptr, blocks_ptr, lock_ptr, count, logits_ptr, bias_ptr, picks_ptr, weights_ptr, rows, stride, factor,
    EXPERTS: tl.constexpr, BLOCK: tl.constexpr, TOP_K: tl.constexpr, GROUPS: tl.constexpr, TOP_GROUPS: tl.constexpr,
    NORMALIZE: tl.constexpr, PAIRS: tl.constexpr, SIZE: tl.constexpr, ROUNDS: tl.constexpr,
):  # fmt: skip
    """Route and group a step of few rows."""
    follow()
    route_one(
        tl.program_id(0), order_ptr, blocks_ptr, lock_ptr, count, logits_ptr, bias_ptr, picks_ptr, weights_ptr, rows,
        stride, factor, EXPERTS, BLOCK, TOP_K, GROUPS, TOP_GROUPS, NORMALIZE, PAIRS, SIZE, ROUNDS,
    )  # fmt: skip


@triton.jit(do_not_specialize=["rows", "count", "routed_rows"])
def beside_kernel(
    order_ptr, blocks_ptr, routes_lock_ptr, count, logits_ptr, bias_ptr, picks_ptr, weights_ptr, routed_rows,
    logits_stride, factor, x_ptr, words_ptr, scales_ptr, scale_ptr, norm_ptr, squares_ptr, second_x_ptr,
    second_words_ptr, second_scales_ptr, second_scale_ptr, residual_ptr, index_ptr, out_ptr, parts_ptr, lock_ptr,
    rows, outputs, width, second_width, stride, second_stride, residual_stride, epsilon, group_width, BM:
    tl.constexpr, COLUMNS: tl.constexpr, FORMAT: tl.constexpr, WGMMA: tl.constexpr, NORM: tl.constexpr, SUMMED:
    tl.constexpr, PARTS: tl.constexpr, PARTS_BLOCK: tl.constexpr, SECOND: tl.constexpr, SECOND_COLUMNS:
    tl.constexpr, SECOND_FORMAT: tl.constexpr, RELU2: tl.constexpr, RESIDUAL: tl.constexpr, INDEXED: tl.constexpr,
    SPLIT: tl.constexpr, EXPERTS: tl.constexpr, BLOCK: tl.constexpr, TOP_K: tl.constexpr, GROUPS: tl.constexpr,
    TOP_GROUPS: tl.constexpr, NORMALIZE: tl.constexpr, PAIRS: tl.constexpr, SIZE: tl.constexpr, ROUNDS:
    tl.constexpr,
):  # fmt: skip
    """Route and group in a program a row, and make a product that does not wait for it in all others."""
    follow()
    row = tl.program_id(0) - (tl.num_programs(0) - routed_rows)
    if row >= 0:
        if tl.program_id(2) == 0:
            route_one(
                row, order_ptr, blocks_ptr, routes_lock_ptr, count, logits_ptr, bias_ptr, picks_ptr, weights_ptr,
                routed_rows, logits_stride, factor, EXPERTS, BLOCK, TOP_K, GROUPS, TOP_GROUPS, NORMALIZE, PAIRS, SIZE,
                ROUNDS,
            )  # fmt: skip
    else:
        product(
            x_ptr, words_ptr, scales_ptr, scale_ptr, norm_ptr, squares_ptr, second_x_ptr, second_words_ptr,
            second_scales_ptr, second_scale_ptr, residual_ptr, index_ptr, out_ptr, parts_ptr, lock_ptr, rows, outputs,
            width, second_width, stride, second_stride, residual_stride, epsilon, group_width, BM, COLUMNS, FORMAT,
            WGMMA, NORM, SUMMED, PARTS, PARTS_BLOCK, SECOND, SECOND_COLUMNS, SECOND_FORMAT, RELU2, RESIDUAL, INDEXED,
            SPLIT,
        )  # fmt: skip
