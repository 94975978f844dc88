"""Pages of KV cache, and sequences that share, lose and get them back."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.backends.executors import make_cuda
from trtnemo.backends import DraftToken, make_batch
from trtnemo.backends.cuda.pages import PAGE, PagePool, pages_of, shared_pages
from trtnemo.errors import StepError

IDS = np.random.default_rng(0).integers(3, 500, 400).tolist()
CPU = torch.device("cpu")


def test_a_slot_gets_the_pages_that_its_tokens_take() -> None:
    pool = PagePool(4, 3, 4, CPU)
    pool.reserve({0: 1, 1: PAGE + 1})
    assert pool.free == 1
    assert pool.missing({0: PAGE, 1: 3 * PAGE}) == 1
    assert pool.table[1, :2].tolist() == pool.pages(1)
    with pytest.raises(StepError, match="2 pages of KV cache are needed, and 1 of 4 are free"):
        pool.reserve({0: 2 * PAGE, 1: 3 * PAGE})
    assert len(pool.pages(0)) == 1  # nothing was given


def test_a_shared_page_is_free_when_nobody_holds_it() -> None:
    pool = PagePool(3, 2, 3, CPU)
    pool.reserve({0: 3 * PAGE})
    shared = pool.share(0, 2)
    pool.release(0)
    assert pool.free == 1
    pool.adopt(1, shared)
    pool.drop(shared)
    assert pool.free == 1
    pool.release(1)
    assert pool.free == 3


@pytest.mark.parametrize(("length", "pages"), [(0, 0), (PAGE, 0), (PAGE + 1, 1), (2 * PAGE, 1), (2 * PAGE + 1, 2)])
def test_the_page_of_the_last_token_is_not_shared(length: int, pages: int) -> None:
    assert shared_pages(length) == pages


@given(st.lists(st.tuples(st.sampled_from("rsadx"), st.integers(0, 3), st.integers(1, 300)), max_size=40))
def test_no_page_is_lost_or_given_twice(steps: list[tuple[str, int, int]]) -> None:
    pool = PagePool(10, 4, 5, CPU)
    kept: list[tuple[int, ...]] = []
    for what, slot, tokens in steps:
        if what == "r" and pool.missing({slot: tokens}) <= pool.free:
            pool.reserve({slot: tokens})
        elif what == "s":
            kept.append(pool.share(slot, pages_of(tokens)))
        elif what == "a" and kept and not pool.pages(slot):
            pool.adopt(slot, kept[-1])
        elif what == "d" and kept:
            pool.drop(kept.pop())
        elif what == "x":
            pool.release(slot)
    held = {page for slot in range(4) for page in pool.pages(slot)} | {page for pages in kept for page in pages}
    assert len(held) + pool.free == 10
    assert 0 not in held
    owners = [page for slot in range(4) for page in pool.pages(slot)]
    shared = {page for page in owners if owners.count(page) > 1}
    assert all(pool._uses[page] > 1 for page in shared)


def feed(executor: Any, slot: int, position: int, count: int) -> Any:
    ids = IDS[position : position + count]
    return executor.forward(make_batch([(slot, position, ids, False)], logit_rows=[count - 1])).logits


@pytest.mark.slow
def test_a_sequence_gives_way_and_goes_on_as_if_it_had_not(make_checkpoint: Any) -> None:
    """Snapshots share whole pages, are moved to the host for their room, and continue with the same bits."""
    executor = make_cuda(make_checkpoint("bf16", "least"), slots=3, max_seq_len=256, kv_tokens=3 * PAGE)
    feed(executor, 0, 0, 70)
    snapshot = executor.snapshot(0)
    assert executor.free_pages == 1
    expected = feed(executor, 0, 70, 3), executor.draft([DraftToken(0, 5)])
    executor.restore(1, snapshot)  # its whole page is shared
    assert executor.free_pages == 0
    assert np.array_equal(feed(executor, 1, 70, 3), expected[0])
    assert not executor.has_room(make_batch([(2, 0, IDS[: 2 * PAGE], False)]).segments)
    with pytest.raises(StepError, match="2 pages of KV cache are needed"):
        feed(executor, 2, 0, 2 * PAGE)
    executor.release(0)
    executor.release(1)
    held = snapshot.nbytes
    snapshot.swap_out()
    assert snapshot.nbytes == held
    assert executor.free_pages == 3
    feed(executor, 0, 0, 10)  # into the pages that it has left
    assert executor.can_restore(snapshot)
    executor.restore(2, snapshot)
    assert np.array_equal(feed(executor, 2, 70, 3), expected[0])
    assert np.array_equal(executor.draft([DraftToken(2, 5)]), expected[1])


def test_a_snapshot_that_is_forgotten_frees_its_pages(make_checkpoint: Any) -> None:
    executor = make_cuda(make_checkpoint("bf16", "least"), slots=1, max_seq_len=256, mtp=False)
    feed(executor, 0, 0, 70)
    snapshot = executor.snapshot(0)
    executor.release(0)
    assert executor.free_pages == 3
    del snapshot
    gc.collect()
    assert executor.free_pages == 4
