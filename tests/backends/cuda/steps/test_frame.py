"""Captured steps: what fills them up changes nothing, and drafts are chained without the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support.backends.executors import make_cuda
from trtnemo.backends import DraftToken, Draw, Proposal, make_batch
from trtnemo.backends.cuda.steps.capture import Tape
from trtnemo.backends.step import StepBatch
from trtnemo.errors import StepError
from trtnemo.kernels.launch import Launcher
from trtnemo.runtime.sampler import draw
from trtnemo.runtime.sampling_params import SamplingParams

IDS = np.random.default_rng(0).integers(3, 500, 100).tolist()
WARM = SamplingParams(temperature=0.8, top_k=30)


@pytest.fixture
def poisoned() -> Any:
    """Fill memory that nobody has written with what is no number."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def test_a_step_that_is_filled_up_gives_each_sequence_what_it_gets_alone(make_checkpoint: Any, poisoned: Any) -> None:
    directory = make_checkpoint("bf16", "least")
    together, alone = (make_cuda(directory, slots=5, max_seq_len=64, mtp=False) for _ in range(2))
    parts = [(slot, 0, IDS[10 * slot : 10 * slot + count], True) for slot, count in enumerate((3, 1, 2, 3, 2))]
    found = together.forward(make_batch(parts)).logits  # five sequences of three rows each
    expected = [alone.forward(make_batch([part])).logits for part in parts]
    assert np.array_equal(found, np.concatenate(expected))
    assert np.isfinite(found).all()


def test_drafts_and_tokens_drawn_on_the_device_are_those_that_the_host_draws(make_checkpoint: Any) -> None:
    directory = make_checkpoint("bf16", "least")
    device, host = (make_cuda(directory, slots=2, max_seq_len=64) for _ in range(2))
    draws = [tuple(Draw(0.8, 30, seed=9 + slot, place=place) for place in range(3)) for slot in range(2)]
    for slot in range(2):
        batch = make_batch([(slot, 0, IDS[slot : slot + 3], False)], logit_rows=[2])
        told = StepBatch(batch.token_ids, batch.segments, batch.logit_rows, batch.hidden_rows, (draws[slot][0],))
        (token,) = device.forward(told).rows()
        assert token == draw(host.forward(batch).logits[0], WARM, 9 + slot, 0)
    expected: list[list[int]] = []
    for slot in range(2):
        token, drafts = IDS[20 + slot], []
        for place in range(3):
            token = draw(host.draft([DraftToken(slot, token)])[0], WARM, 9 + slot, place)
            drafts.append(token)
        expected.append(drafts)
    both = [Proposal(slot, IDS[20 + slot], draws[slot]) for slot in range(2)]
    assert device.propose(both) == expected
    logits = [executor.draft([DraftToken(0, 7)]) for executor in (device, host)]  # which goes on behind them
    assert np.array_equal(*logits)


@pytest.mark.slow
def test_nine_sequences_draft_in_a_step_that_is_made_for_twelve(make_checkpoint: Any) -> None:
    executor = make_cuda(make_checkpoint("bf16", "least"), slots=9, max_seq_len=64)
    parts = [(slot, 0, IDS[slot : slot + 1], False) for slot in range(9)]
    executor.forward(make_batch(parts))
    every = executor.propose([Proposal(slot, 5, (Draw(),) * 3) for slot in range(9)])
    executor.release(0)
    executor.forward(make_batch(parts[:1]))
    assert executor.propose([Proposal(0, 5, (Draw(),) * 3)]) == every[:1]


def test_chains_end_before_the_longest_sequence_does(make_checkpoint: Any) -> None:
    executor = make_cuda(make_checkpoint("bf16", "least"), slots=1, max_seq_len=6)
    executor.forward(make_batch([(0, 0, IDS[:4], False)]))
    with pytest.raises(StepError, match="beyond 6"):
        executor.propose([Proposal(0, 5, (Draw(),) * 4)])


def test_steps_are_captured_before_anybody_asks(make_checkpoint: Any) -> None:
    """All that a server with two slots and six drafts decodes in; over an interpreter nothing runs yet."""
    executor = make_cuda(make_checkpoint("bf16", "least"), slots=2, max_seq_len=64)
    assert executor.prepare() == 2 * (8 + 7)
    executor.forward(make_batch([(0, 0, IDS[:1], False), (1, 0, IDS[1:2], False)]))
    executor.propose([Proposal(slot, 5, (Draw(1.0, top_p=0.9),) * 2) for slot in range(2)])
    assert executor.prepare() == 30  # what has run was there


def test_a_tape_does_again_what_was_done_at_the_same_places() -> None:
    given = torch.ones(4)
    tape = Tape(Launcher(torch.device("cpu"), "mma"), lambda: (given.double() * 2).reshape(2, 2).sum(0))
    given.copy_(torch.arange(4.0))
    tape()
    assert tape.outputs.tolist() == [4.0, 8.0]


def test_a_step_that_asks_the_host_is_not_captured() -> None:
    given = torch.ones(4)
    with pytest.raises(RuntimeError, match="asks the host"):
        Tape(Launcher(torch.device("cpu"), "mma"), lambda: given * given.sum().item())
