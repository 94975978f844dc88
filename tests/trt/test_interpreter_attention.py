"""Attention against torch's own operator, and caches that are written in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.support.trt.interpreted import out, run
from tests.support.trt.layer_cases import normal, write_attention, write_cache
from trtnemo.errors import EngineError

LARGE = np.float32(1e4)


def alone(q: Any, k: Any, v: Any, sequence: Any, length: Any) -> Any:
    """Return one sequence's attention as torch computes it over its own keys only."""
    q, k, v = (torch.as_tensor(x[sequence]).double() for x in (q, k, v))
    rows, repeats = q.shape[1], q.shape[0] // k.shape[0]
    k, v = (x[:, :length].repeat_interleave(repeats, 0) for x in (k, v))
    mask = torch.ones(rows, length, dtype=torch.bool).tril(length - rows)
    return F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask, scale=1.0)[0].float()


@pytest.mark.parametrize(("heads", "groups"), [(1, 1), (4, 4), (4, 2), (8, 1)])
@pytest.mark.parametrize(("rows", "lengths"), [(1, [1, 9, 5]), (2, [2, 9, 3]), (5, [5, 6, 9]), (9, [9, 9, 9])], ids=str)
def test_every_sequence_attends_to_its_own_first_keys_its_last_row_to_all_of_them(
    heads: int, groups: int, rows: int, lengths: list[Any]
) -> None:
    q, k, v = normal(3, heads, rows, 8), normal(3, groups, 9, 8), normal(3, groups, 9, 8)
    found = out(write_attention, q=q, k=k, v=v, lengths=np.array(lengths, np.int32))
    for sequence, length in enumerate(lengths):
        expected = alone(q, k, v, sequence, length)
        torch.testing.assert_close(found[sequence], expected, rtol=1e-5, atol=1e-5)


def test_what_lies_behind_a_sequence_in_its_cache_is_never_seen() -> None:
    q, k, v = normal(2, 2, 2, 4), normal(2, 1, 6, 4), normal(2, 1, 6, 4)
    lengths = np.array([3, 6], np.int32)
    clean = out(write_attention, q=q, k=k, v=v, lengths=lengths)
    k[0, :, 3:], v[0, :, 3:] = LARGE, np.nan
    assert torch.equal(out(write_attention, q=q, k=k, v=v, lengths=lengths), clean)


def test_a_row_never_sees_the_rows_after_it() -> None:
    q, k, v = normal(1, 2, 3, 4), normal(1, 2, 7, 4), normal(1, 2, 7, 4)
    before = out(write_attention, q=q, k=k, v=v, lengths=np.array([7], np.int32))
    v[0, :, 6] += 100
    after = out(write_attention, q=q, k=k, v=v, lengths=np.array([7], np.int32))
    assert torch.equal(before[:, :, :2], after[:, :, :2])
    assert not torch.equal(before[:, :, 2], after[:, :, 2])


def test_attention_in_bfloat16_is_computed_in_float32_and_rounded_once() -> None:
    q, k, v = (torch.from_numpy(normal(1, 2, rows, 64)).bfloat16() for rows in (2, 300, 300))
    found = out(write_attention, q=q, k=k, v=v, lengths=np.array([300], np.int32))
    assert found.dtype is torch.bfloat16
    # all but numbers that lie halfway between two; scores rounded to bfloat16 would move most
    assert (found[0] == alone(q, k, v, 0, 300).bfloat16()).float().mean() > 0.99


def test_attention_with_lengths_known_at_run_time() -> None:
    def write(net: Any, q: Any, k: Any, v: Any, lengths: Any) -> None:
        net.output("out", net.attention(q, k, v, lengths), ("B", 2, "R", 4))

    dims: dict[str, tuple[int | str, ...]] = {
        "q": ("B", 2, "R", 4),
        "k": ("B", 2, 6, 4),
        "v": ("B", 2, 6, 4),
        "lengths": ("B",),
    }
    q, k, v = normal(2, 2, 3, 4), normal(2, 2, 6, 4), normal(2, 2, 6, 4)
    found = out(write, dims, q=q, k=k, v=v, lengths=np.array([4, 6], np.int32))
    torch.testing.assert_close(found[1], alone(q, k, v, 1, 6), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [1, 8, -1])
def test_lengths_that_do_not_hold_the_rows_or_exceed_the_cache_are_refused(length: int) -> None:
    q, k = normal(1, 1, 2, 4), normal(1, 1, 7, 4)
    with pytest.raises(EngineError, match=f"2 rows cannot attend to {length} of 7 keys"):
        out(write_attention, q=q, k=k, v=k, lengths=np.array([length], np.int32))


def test_a_mask_other_than_lower_right_is_refused() -> None:
    def write(net: Any, q: Any, k: Any, v: Any, lengths: Any) -> Any:
        module = net.library.module
        kinds = module.AttentionNormalizationOp.SOFTMAX, module.CausalMaskKind.UPPER_LEFT
        layer = net.network.add_attention_v2(q, k, v, *kinds)
        layer.key_value_lengths, layer.decomposable = lengths, True
        return net.name(layer).get_output(0)

    q, k = normal(1, 1, 2, 4), normal(1, 1, 7, 4)
    with pytest.raises(EngineError, match="lower-right causal"):
        out(write, q=q, k=k, v=k, lengths=np.array([5], np.int32))


def test_attention_without_key_lengths_is_refused() -> None:
    def write(net: Any, q: Any, k: Any, v: Any) -> Any:
        module = net.library.module
        kinds = module.AttentionNormalizationOp.SOFTMAX, module.CausalMaskKind.LOWER_RIGHT
        layer = net.network.add_attention_v2(q, k, v, *kinds)
        layer.decomposable = True
        return net.name(layer).get_output(0)

    q, k = normal(1, 1, 2, 4), normal(1, 1, 7, 4)
    with pytest.raises(EngineError, match="wants query, key, value and key lengths"):
        out(write, q=q, k=k, v=k)


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_a_cache_is_written_where_each_sequence_stands_and_nowhere_else(rows: int) -> None:
    cache, update = torch.from_numpy(normal(3, 2, 8, 4)), normal(3, 2, rows, 4)
    starts = np.array([8 - rows, 0, min(2, 8 - rows)], np.int32)
    before = cache.clone()
    run(write_cache, cache=cache, update=update, starts=starts)
    for sequence, start in enumerate(starts):
        assert np.array_equal(cache[sequence, :, start : start + rows], update[sequence])
        assert torch.equal(cache[sequence, :, :start], before[sequence, :, :start])
        assert torch.equal(cache[sequence, :, start + rows :], before[sequence, :, start + rows :])


def test_a_cache_in_bfloat16_keeps_its_bits() -> None:
    cache, update = (torch.from_numpy(normal(1, 1, rows, 4)).bfloat16() for rows in (4, 2))
    expected = torch.cat([cache[:, :, :1], update, cache[:, :, 3:]], 2)
    run(write_cache, cache=cache, update=update, starts=np.array([1], np.int32))
    assert torch.equal(cache, expected)


@pytest.mark.parametrize("start", [-1, 6, 100])
def test_rows_that_do_not_fit_a_cache_are_refused(start: int) -> None:
    cache, update = normal(2, 1, 8, 4), normal(2, 1, 3, 4)
    with pytest.raises(EngineError, match=f"3 rows from {start} do not fit a cache of 8"):
        run(write_cache, cache=cache, update=update, starts=np.array([0, start], np.int32))


def test_attention_sees_the_rows_just_written_to_the_cache() -> None:
    def write(net: Any, q: Any, k: Any, v: Any, keys: Any, values: Any, starts: Any, lengths: Any) -> None:
        shape = tuple(keys.shape)
        new_keys, new_values = net.cache_update(keys, k, starts), net.cache_update(values, v, starts)
        net.output_in_place("keys.after", new_keys, shape)
        net.output_in_place("values.after", new_values, shape)
        net.output("out", net.attention(q, new_keys, new_values, lengths), tuple(q.shape))

    q, k, v = normal(2, 2, 3, 4), normal(2, 1, 3, 4), normal(2, 1, 3, 4)
    keys, values = normal(2, 1, 9, 4), normal(2, 1, 9, 4)
    starts, lengths = np.array([0, 4], np.int32), np.array([3, 7], np.int32)
    found = run(write, q=q, k=k, v=v, keys=keys, values=values, starts=starts, lengths=lengths)
    for sequence, length in enumerate(lengths):
        # the arrays given are the caches' memory: they hold the new rows by now
        expected = alone(q, keys, values, sequence, length)
        torch.testing.assert_close(found["out"][sequence], expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(keys[1, :, 4:7], k[1])
