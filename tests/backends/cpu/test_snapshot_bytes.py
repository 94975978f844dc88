"""Snapshots as bytes: what another executor of the same engine is filled with goes on bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.backends.executors import make_native
from trtnemo.backends import DraftToken, Portable, make_batch
from trtnemo.errors import StepError

FORMS = [
    {},
    {"kv_cache": "float16"},
    {"ssm_state": "float16"},
    {"kv_cache": "float16", "ssm_state": "float16", "activations": "int8"},
    {"mtp": False},
]


def tokens(seed: Any, count: Any) -> Any:
    return np.random.default_rng(seed).integers(20, 4096, count).tolist()


def run(executor: Any, slot: Any, position: Any, ids: Any) -> Any:
    return executor.forward(make_batch([(slot, position, ids, False)])).logits


def carried(source: Any, snapshot: Any, target: Any, ids: Any, pages: Any = None) -> Any:
    """Return a snapshot of `target` with the bytes of one of `source`; its pages may be those of a longer one."""
    pieces = source.pieces(snapshot)
    with_pages = pieces if pages is None else source.pieces(pages)
    blank = target.blank_snapshot(snapshot.length, ids[snapshot.length - pieces.unfed : snapshot.length])
    filled = target.pieces(blank)
    for number in range(target.form.pages(snapshot.length)):
        filled.page(number)[:] = with_pages.page(number)
    for into, part in zip(filled.parts(), pieces.parts(), strict=True):
        into[:] = part
    return blank


def continuation(executor: Any, slot: Any, position: Any) -> Any:
    """Return the bits of what follows: a step, drafts where there is a head, and a verified step."""
    logits = [run(executor, slot, position, tokens(9, 3))]
    if executor.mtp is not None:
        logits += [executor.draft([DraftToken(slot, 77)]), executor.draft([DraftToken(slot, 78)])]
        logits.append(executor.forward(make_batch([(slot, position + 3, [77, 78, 79], True)])).logits)
        executor.commit(slot, 2)
        logits.append(run(executor, slot, position + 5, [80]))
    return [row.tobytes() for row in logits]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("length", [5, 64, 203])
def test_a_state_goes_on_in_another_executor_with_the_same_bits(make_checkpoint: Any, form: Any, length: int) -> None:
    first, second = (make_native(make_checkpoint("mixed"), slots=2, max_seq_len=512, **form) for _ in range(2))
    assert isinstance(first, Portable)
    assert first.form == second.form
    ids = tokens(0, length)
    run(first, 0, 0, ids)
    snapshot = first.snapshot(0)
    run(second, 0, 0, tokens(1, 30))  # pages of the other one are not as new
    second.release(0)
    second.restore(1, carried(first, snapshot, second, ids))
    assert continuation(second, 1, length) == continuation(first, 0, length)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_longer_sequences_pages_stand_behind_a_shorter_state(make_checkpoint: Any, form: Any) -> None:
    first, second = (make_native(make_checkpoint("mixed"), slots=2, max_seq_len=512, **form) for _ in range(2))
    ids = tokens(0, 300)
    run(first, 0, 0, ids[:150])
    state = first.snapshot_state(0)
    assert first.pieces(state).unfed == (149 if first.mtp else 0)
    run(first, 0, 150, ids[150:])
    if first.mtp is not None:
        first.draft([DraftToken(0, 5)])  # so that the head's entries are written too
    second.restore(0, carried(first, state, second, ids, pages=first.snapshot(0)))
    run(first, 1, 0, ids[:150])
    assert continuation(second, 0, 150) == continuation(first, 1, 150)


def test_pages_come_back_once_whoever_still_holds_the_snapshot(make_checkpoint: Any) -> None:
    executor = make_native(make_checkpoint("mixed"), slots=2, max_seq_len=256)
    free = executor.free_pages
    blank = executor.blank_snapshot(200, [])
    assert executor.free_pages == free - 7
    executor.restore(0, blank)
    executor.pieces(blank).give_back()
    executor.pieces(blank).give_back()
    assert executor.free_pages == free - 7
    executor.release(0)
    assert executor.free_pages == free
    del blank
    assert executor.free_pages == free


def test_a_blank_snapshot_needs_pages_and_takes_none_where_they_are_missing(make_checkpoint: Any) -> None:
    executor = make_native(make_checkpoint("mixed"), slots=2, max_seq_len=256, kv_tokens=256)
    run(executor, 0, 0, tokens(0, 100))
    free = executor.free_pages
    with pytest.raises(StepError, match="no page"):
        executor.blank_snapshot(200, [])
    assert executor.free_pages == free


def test_another_executors_snapshot_is_not_opened(make_checkpoint: Any) -> None:
    first, second = (make_native(make_checkpoint("mixed"), slots=1, max_seq_len=64) for _ in range(2))
    run(first, 0, 0, tokens(0, 10))
    with pytest.raises(StepError, match="another executor"):
        second.pieces(first.snapshot(0))
