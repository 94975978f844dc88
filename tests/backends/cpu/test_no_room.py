"""A refused call of the native executor changes nothing: drafts, steps and copies for which no page is free."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.backends.executors import make_native
from trtnemo.backends import DraftToken, Segment, make_batch
from trtnemo.errors import StepError

PAGE = 32  # tokens
TOKENS = np.random.default_rng(3).integers(20, 4096, 300).tolist()
LENGTH = 2 * PAGE + 6


@pytest.fixture
def executors(make_checkpoint: Any) -> Any:
    """Return one with six pages, and one with plenty, whose two sequences stand alike."""
    made = [
        make_native(make_checkpoint("mixed"), slots=4, max_seq_len=512, kv_tokens=pages * PAGE) for pages in (6, 40)
    ]
    assert (made[0].total_pages, made[0].free_pages) == (6, 6)
    for executor in made:
        parts = [(0, 0, TOKENS[:LENGTH], False), (1, 0, TOKENS[100 : 100 + LENGTH], False)]
        executor.forward(make_batch(parts, logit_rows=[]))
    assert made[0].free_pages == 0
    return made


def draft(executor: Any, *slots: Any) -> Any:
    return executor.draft([DraftToken(slot, TOKENS[200 + slot]) for slot in slots])


def test_drafts_that_are_refused_change_nothing(executors: Any) -> None:
    """The second sequence's pages are shared with a snapshot, and the head has still to write into them."""
    tight, roomy = executors
    kept = tight.snapshot(1)
    for _ in range(2):
        with pytest.raises(StepError, match="no page of the KV cache is free"):
            draft(tight, 0, 1)
    assert tight.free_pages == 0
    assert np.array_equal(draft(tight, 0), draft(roomy, 0))
    assert np.array_equal(draft(tight, 0), draft(roomy, 0))
    del kept
    assert np.array_equal(draft(tight, 1), draft(roomy, 1))


def test_a_draft_that_begins_a_page_needs_one(executors: Any) -> None:
    tight, roomy = executors
    ends = 3 * PAGE
    for executor in executors:
        executor.forward(make_batch([(0, LENGTH, TOKENS[LENGTH:ends], False)], logit_rows=[]))
    assert np.array_equal(draft(tight, 0), draft(roomy, 0))  # into the last place of the page
    for _ in range(2):
        with pytest.raises(StepError, match="no page"):
            draft(tight, 0)
        with pytest.raises(StepError, match="no page"):
            draft(tight, 1, 0)
    for executor in executors:
        executor.release(1)
    assert np.array_equal(draft(tight, 0), draft(roomy, 0))


def test_a_step_that_is_refused_changes_nothing(executors: Any) -> None:
    tight, roomy = executors
    more = [(0, LENGTH, TOKENS[:10], False), (1, LENGTH, TOKENS[:40], False)]
    segments = [Segment(0, 0, 10, LENGTH), Segment(1, 10, 40, LENGTH)]
    assert not tight.has_room(segments)
    assert tight.has_room(segments[:1])
    for _ in range(2):
        with pytest.raises(StepError, match="no page"):
            tight.forward(make_batch(more))
    for executor in executors:
        executor.release(1)
    found, expected = (executor.forward(make_batch(more[:1])).logits for executor in executors)
    assert np.array_equal(found, expected)
    assert np.array_equal(draft(tight, 0), draft(roomy, 0))


def test_a_refused_step_takes_no_page_and_forgets_no_draft(executors: Any) -> None:
    """Neither of a sequence that would begin with it, nor of one that could have gone on."""
    tight, roomy = executors
    for executor in executors:
        executor.release(1)
        draft(executor, 0)
    free = tight.free_pages
    parts = [(0, LENGTH, TOKENS[:10], False), (2, 0, TOKENS[:PAGE], False), (3, 0, TOKENS[: 3 * PAGE], False)]
    for _ in range(2):
        with pytest.raises(StepError, match="no page"):
            tight.forward(make_batch(parts))
        assert tight.free_pages == free
    assert np.array_equal(draft(tight, 0), draft(roomy, 0))


def test_drafts_before_a_step_have_their_room_counted(executors: Any) -> None:
    """A segment under verification writes the head's pages too, which a plain one leaves alone."""
    tight, _ = executors
    kept = tight.snapshot(0)
    plain, verified = (Segment(0, 0, 2, LENGTH, speculative=speculative) for speculative in (False, True))
    free = tight.free_pages
    tight.release(1)
    assert tight.free_pages - free == 3
    assert tight.has_room([plain])
    assert tight.has_room([verified])
    filler = make_batch([(2, 0, TOKENS[: 2 * PAGE], False)], logit_rows=[])
    tight.forward(filler)
    assert tight.free_pages == 1
    assert tight.has_room([plain])
    assert not tight.has_room([verified])
    del kept


def test_a_swapped_copy_that_has_no_room_is_refused_and_taken_when_it_has(executors: Any) -> None:
    tight, roomy = executors
    copies = [executor.snapshot(1) for executor in executors]
    for copy in copies:
        copy.swap_out()
    for executor in executors:
        executor.release(1)
    tight.forward(make_batch([(2, 0, TOKENS[:LENGTH], False)], logit_rows=[]))
    assert not tight.can_restore(copies[0])
    with pytest.raises(StepError, match="no page"):
        tight.restore(1, copies[0])
    tight.release(2)
    assert tight.can_restore(copies[0])
    for executor, copy in zip(executors, copies, strict=True):
        executor.restore(1, copy)
    assert np.array_equal(draft(tight, 1), draft(roomy, 1))
