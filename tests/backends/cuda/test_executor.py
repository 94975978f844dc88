"""The executor over interpreted kernels, beside torch: prompts beside decoding, verification, drafts, snapshots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support.backends.executors import make_cuda, make_executor
from trtnemo.backends import DraftToken, make_batch
from trtnemo.errors import StepError

IDS = np.random.default_rng(0).integers(3, 500, 100).tolist()


class Both:
    """One step on both executors; what they say must agree."""

    def __init__(self, directory: Any, family: Any) -> None:
        self.made = make_cuda(directory, slots=3, max_seq_len=128, family=family)
        self.torch = make_executor(directory, slots=3, max_seq_len=128)

    def step(self, *parts: Any, rows: Any = None) -> None:
        batch = make_batch(list(parts), logit_rows=rows)
        self.compare(self.made.forward(batch).logits, self.torch.forward(batch).logits)

    def draft(self, *tokens: Any) -> None:
        drafts = [DraftToken(slot, token) for slot, token in tokens]
        self.compare(self.made.draft(drafts), self.torch.draft(drafts))

    def commit(self, slot: int, accepted: int) -> None:
        for executor in (self.made, self.torch):
            executor.commit(slot, accepted)

    def copy(self, slot: int, to: int) -> None:
        for executor in (self.made, self.torch):
            executor.restore(to, executor.snapshot(slot))

    @staticmethod
    def compare(made: Any, expected: Any) -> None:
        assert np.abs(made - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("precision", "size", "family"),
    [("mixed", "least", "wgmma"), pytest.param("mixed", "micro", "mma", marks=pytest.mark.slow)],
)
def test_a_life_of_two_sequences_is_as_in_torch(make_checkpoint: Any, precision: Any, size: Any, family: Any) -> None:
    both = Both(make_checkpoint(precision, size), family)
    both.step((0, 0, IDS[:20], False), (1, 0, IDS[20:23], False), rows=[19, 22])
    both.step((0, 20, IDS[30:34], True), (1, 3, IDS[40:41], False))
    both.commit(0, 2)
    both.draft((0, IDS[50]), (1, IDS[51]))
    both.draft((0, IDS[52]))
    both.step((0, 22, IDS[53:56], True))
    both.commit(0, 0)
    both.step((0, 22, IDS[56:58], True))
    both.commit(0, 1)
    both.copy(0, to=2)  # with a token that its state does not hold yet
    both.draft((0, IDS[58]), (2, IDS[59]))  # from what commits and the copy left in the draft head's cache
    both.step((2, 23, IDS[60:70], False), (0, 23, IDS[70:73], True), rows=[9, 12])
    both.commit(0, 3)
    for executor in (both.made, both.torch):
        executor.release(0)  # with tokens that the draft head has not taken in
    both.step((0, 0, IDS[73:76], False), rows=[2])
    both.draft((0, IDS[80]), (2, IDS[81]))


def test_a_sequence_of_many_tokens_that_follow_a_verification_is_as_in_torch(make_checkpoint: Any) -> None:
    both = Both(make_checkpoint("nvfp4", "least"), "mma")
    both.step((0, 0, IDS[:3], True), rows=[2])
    both.commit(0, 2)
    both.step((0, 2, IDS[10:30], False), rows=[19])


def test_numbers_that_are_none_drop_the_sequence_that_they_are_of(make_checkpoint: Any) -> None:
    executor = make_cuda(make_checkpoint("bf16", "least"), slots=2, max_seq_len=64, mtp=False)
    executor.forward(make_batch([(0, 0, IDS[:2], False)]))
    next(state for state in executor.runner.states.values() if hasattr(state, "ssm_state")).ssm_state[0].fill_(
        float("nan")
    )
    executor.forward(make_batch([(1, 0, IDS[:2], False)]))
    found = executor.forward(make_batch([(0, 2, IDS[2:3], False), (1, 2, IDS[2:3], False)]))
    assert found.broken == {0}
    assert np.isfinite(found.logits[1]).all()
    executor.forward(make_batch([(1, 3, IDS[3:4], False)]))  # the other one goes on
    with pytest.raises(StepError, match="at 0"):
        executor.forward(make_batch([(0, 2, IDS[2:3], False)]))
    executor.forward(make_batch([(0, 0, IDS[:2], False)]))  # what the slot held is not read again


@pytest.mark.parametrize("count", [3, 20])
def test_a_chunk_in_the_middle_of_a_prompt_wants_no_logits(make_checkpoint: Any, count: int) -> None:
    executor = make_cuda(make_checkpoint("bf16", "least"), slots=1, max_seq_len=64, mtp=False)
    found = executor.forward(make_batch([(0, 0, IDS[:count], False)], logit_rows=[]))
    assert found.logits.shape == (0, 512)
    assert executor.forward(make_batch([(0, count, IDS[:1], False)])).logits.shape == (1, 512)


def test_a_commit_without_tokens_under_verification_is_refused(make_checkpoint: Any) -> None:
    executor = make_cuda(make_checkpoint("bf16", "least"), slots=1, max_seq_len=64, mtp=False)
    with pytest.raises(StepError, match="under verification"):
        executor.commit(0, 1)


@pytest.mark.slow
def test_a_float16_state_has_the_same_bits_however_tokens_arrive(make_checkpoint: Any) -> None:
    """One by one, verified and partly refused, or from a snapshot: a state is rounded at fixed positions."""
    executor = make_cuda(make_checkpoint("bf16", "least"), slots=3, max_seq_len=64, mtp=False, state="float16")
    for at in range(8):
        executor.forward(make_batch([(0, at, IDS[at : at + 1], False)]))
    executor.forward(make_batch([(1, 0, IDS[:3], True)]))
    executor.commit(1, 3)
    executor.forward(make_batch([(1, 3, [*IDS[3:5], 9], True)]))
    executor.commit(1, 2)  # over the multiple that the state is rounded at
    executor.restore(2, executor.snapshot(1))  # with tokens that its state does not hold
    executor.forward(make_batch([(1, 5, IDS[5:8], False), (2, 5, IDS[5:8], False)]))
    states = next(state for state in executor.runner.states.values() if hasattr(state, "ssm_state")).ssm_state
    assert states[0].abs().max() > 0
    assert torch.equal(states[1], states[0])
    assert torch.equal(states[2], states[0])


@pytest.mark.slow
def test_a_float16_state_is_near_a_float32_one(make_checkpoint: Any) -> None:
    directory = make_checkpoint("bf16", "least")
    half, whole = (
        make_cuda(directory, slots=1, max_seq_len=64, mtp=False, state=state) for state in ("float16", "float32")
    )
    for at, count in ((0, 40), (40, 1), (41, 1)):
        batch = make_batch([(0, at, IDS[at : at + count], False)], logit_rows=[count - 1])
        found, expected = half.forward(batch).logits, whole.forward(batch).logits
        assert not np.array_equal(found, expected)
        assert np.abs(found - expected).max() < 1e-2 * np.abs(expected).max()
