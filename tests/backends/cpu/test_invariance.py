"""A token's bits depend on its sequence alone: not on batch, chunks, threads, kernels, drafts, snapshots or pages."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.backends.executors import make_native
from trtnemo import _native
from trtnemo.backends import DraftToken, make_batch
from trtnemo.errors import StepError

LENGTH = 90
SEQUENCES = [np.random.default_rng(number).integers(0, 4096, LENGTH).tolist() for number in range(4)]
KERNELS = _native.kernel_names()


@pytest.fixture(scope="module")
def directory(make_checkpoint: Any) -> Any:
    return make_checkpoint("mixed")


@pytest.fixture(scope="module")
def alone(directory: Any) -> Any:
    """Logits of every token of every sequence, fed whole, each in an executor of its own with one thread."""
    rows = []
    for tokens in SEQUENCES:
        executor = make_native(directory, slots=1, threads=1, activations="int8", kv_cache="float16")
        rows.append(executor.forward(make_batch([(0, 0, tokens, False)])).logits)
    return rows


@pytest.fixture(scope="module")
def drafted(directory: Any) -> Any:
    """Draft logits after each token of each sequence, fed one by one, from a token that stands for the place."""
    rows: list[list[Any]] = []
    for number, tokens in enumerate(SEQUENCES):
        executor = make_native(directory, slots=1, threads=1, activations="int8", kv_cache="float16")
        rows.append([])
        for position, token in enumerate(tokens):
            executor.forward(make_batch([(0, position, [token], False)]))
            rows[number].append(executor.draft([DraftToken(0, draft_after(position))])[0])
    return rows


def draft_after(length: Any) -> Any:
    """Return a token to draft from, one for each place."""
    return 100 + 7 * length


@pytest.fixture(scope="module")
def executors(directory: Any) -> Any:
    """Of one to three threads; the last has pages for half of what four whole sequences need."""
    how: dict[str, Any] = {"activations": "int8", "kv_cache": "float16"}
    tight = make_native(directory, slots=4, max_seq_len=LENGTH + 6, kv_tokens=192, threads=2, **how)
    return [*(make_native(directory, threads=threads, **how) for threads in (1, 2, 3)), tight]


class Run:
    """A schedule drawn step by step: what comes out is compared with the sequences run alone."""

    def __init__(self, executor: Any, alone: Any, drafted: Any, draw: Any) -> None:
        self.executor, self.alone, self.drafted, self.draw = executor, alone, drafted, draw
        self.position = [0] * len(SEQUENCES)
        # by sequence; the next one continues the one before, until a token is taken in
        self.drafts: Counter[int] = Counter()
        self.snapshots: list[Any] = []

    def close(self) -> None:
        self.snapshots.clear()
        for number in range(len(SEQUENCES)):
            self.executor.release(number)

    def step(self) -> None:
        parts, speculative = [], {}
        for number, tokens in enumerate(SEQUENCES):
            left = LENGTH - self.position[number]
            length = self.draw(st.integers(0, min(left, 40)))
            if not length:
                continue
            if self.position[number] and self.draw(st.booleans()):
                good = self.draw(st.integers(0, min(length, 5)))
                drafts = tokens[self.position[number] : self.position[number] + good + 1]
                wrong = [(tokens[0] + 1) % 4096] * self.draw(st.integers(0, 6 - good))
                speculative[number] = len(drafts)
                parts.append((number, self.position[number], drafts + wrong, True))
            else:
                part = tokens[self.position[number] : self.position[number] + length]
                parts.append((number, self.position[number], part, False))
        if parts and self.has_room(parts):
            self.run(parts, speculative)

    def has_room(self, parts: Any) -> Any:
        """Free pages as a runtime would, snapshots first; say whether the step may run, after it was refused if not."""
        batch = make_batch(parts)
        while not self.executor.has_room(batch.segments) and self.snapshots:
            self.snapshots.pop(0)
        if self.executor.has_room(batch.segments):
            return True
        with pytest.raises(StepError, match="no page"):
            self.executor.forward(batch)
        return False

    def run(self, parts: Any, speculative: Any) -> None:
        logits = self.executor.forward(make_batch(parts)).logits
        for number, *_ in parts:
            self.drafts[number] = 0
        row = 0
        for number, position, tokens, _ in parts:
            count = speculative.get(number, len(tokens))
            assert np.array_equal(logits[row : row + count], self.alone[number][position : position + count])
            row += len(tokens)
            if number in speculative:
                count = self.draw(st.integers(0, count))
                self.executor.commit(number, count)
            self.position[number] += count

    def keep(self) -> None:
        number = self.draw(st.integers(0, len(SEQUENCES) - 1))
        if self.position[number]:
            self.snapshots.append((number, self.executor.snapshot(number)))

    def go_back(self) -> None:
        if self.snapshots:
            # an index is drawn, for hypothesis keeps what was drawn
            number, snapshot = self.snapshots[self.draw(st.integers(0, len(self.snapshots) - 1))]
            if not self.executor.can_restore(snapshot):
                with pytest.raises(StepError, match="no page"):
                    self.executor.restore(number, snapshot)
                return
            self.executor.restore(number, snapshot)
            self.position[number] = snapshot.length
            self.drafts[number] = 0

    def swap_out(self) -> None:
        """Move a kept state out of the pages, as a sequence that gives way is."""
        if self.snapshots:
            number, snapshot = self.snapshots[self.draw(st.integers(0, len(self.snapshots) - 1))]
            snapshot.swap_out()
            self.leave(number)

    def draft(self) -> None:
        for number, position in enumerate(self.position):
            count = self.drafts[number]
            if not position or count == 4 or not self.draw(st.booleans()):
                continue
            # room for the segment that would verify the drafts, as a runtime asks for it
            if self.has_room([(number, position, [0] * (2 + count), True)]):
                found = self.executor.draft([DraftToken(number, draft_after(position - 1))])
                assert count or np.array_equal(found[0], self.drafted[number][position - 1])
                self.drafts[number] += 1

    def restart(self) -> None:
        self.leave(self.draw(st.integers(0, len(SEQUENCES) - 1)))

    def leave(self, number: Any) -> None:
        self.executor.release(number)
        self.position[number] = self.drafts[number] = 0


ACTIONS = ["step", "step", "step", "keep", "go_back", "swap_out", "draft", "restart"]


@settings(max_examples=40)
@given(st.data())
def test_any_schedule_gives_the_bits_of_a_sequence_run_alone(
    executors: Any, alone: Any, drafted: Any, data: Any
) -> None:
    executor = data.draw(st.sampled_from(executors))
    run = Run(executor, alone, drafted, data.draw)
    try:
        for _ in range(data.draw(st.integers(3, 12))):
            getattr(run, data.draw(st.sampled_from(ACTIONS)))()
    finally:  # also when hypothesis breaks off: what is drawn next depends on the pages that are free
        run.close()
    assert executor.free_pages == executor.total_pages


@pytest.mark.parametrize("kernels", KERNELS)
def test_every_form_of_the_kernels_gives_the_same_bits(
    directory: Any, alone: Any, kernels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRTNEMO_CPU", kernels)
    executor = make_native(directory, activations="int8", kv_cache="float16")
    assert executor.kernels == kernels
    for number, tokens in enumerate(SEQUENCES):
        parts = [(number, 0, tokens[:50], False)], [(number, 50, tokens[50:], False)]
        found = np.concatenate([executor.forward(make_batch(part)).logits for part in parts])
        assert np.array_equal(found, alone[number])


def test_drafts_come_from_the_sequence_alone(directory: Any) -> None:
    """The MTP head's logits are the same after any way to the same place."""
    executor = make_native(directory, activations="int8", kv_cache="float16")
    tokens, other = SEQUENCES[0], SEQUENCES[1]
    executor.forward(make_batch([(0, 0, tokens[:60], False)]))
    for start in range(0, 60, 20):
        ends = slice(start, start + 20)
        executor.forward(make_batch([(1, start, tokens[ends], False), (2, start, other[ends], False)]))
        executor.draft([DraftToken(1, 7), DraftToken(2, 8)])
        executor.draft([DraftToken(1, 9)])
    # drafts are forgotten when a segment is taken in, so slot 1 stands where slot 0 does
    executor.forward(make_batch([(0, 60, tokens[60:61], False), (1, 60, tokens[60:61], False)]))
    for token in (3, 4, 5):
        first, second = executor.draft([DraftToken(0, token), DraftToken(1, token)])
        assert np.array_equal(first, second)


def test_a_draft_asks_for_no_page_that_it_does_not_write(directory: Any) -> None:
    """One page is free, and the head's entry stands on one shared page; the page before it is read and not written."""
    executor = make_native(directory, slots=2, max_seq_len=96, kv_tokens=96)
    executor.forward(make_batch([(0, 0, SEQUENCES[0][:33], False)]))
    executor.draft([DraftToken(0, 7)])
    kept = executor.snapshot(0)
    executor.restore(1, kept)
    assert executor.free_pages == 1
    executor.draft([DraftToken(1, 7)])
    assert executor.free_pages == 0
    with pytest.raises(StepError, match="no page"):
        executor.draft([DraftToken(0, 7)])


def test_a_snapshot_shares_pages_until_somebody_writes(directory: Any) -> None:
    executor = make_native(directory, slots=2, max_seq_len=256)
    executor.forward(make_batch([(0, 0, SEQUENCES[0], False)]))
    before = executor.free_pages
    snapshot = executor.snapshot(0)
    assert executor.free_pages == before
    executor.restore(1, snapshot)
    assert executor.free_pages == before
    executor.forward(make_batch([(1, LENGTH, [5], False)]))
    assert executor.free_pages == before - 1  # the last page alone was copied
    executor.release(0)
    executor.release(1)
    assert executor.free_pages < executor.total_pages
    del snapshot
    assert executor.free_pages == executor.total_pages
