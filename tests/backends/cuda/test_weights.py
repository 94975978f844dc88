"""Weights as they come to a device: how much the host holds meanwhile, and copies that only drafts read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support.backends.executors import make_cuda
from trtnemo.backends import DraftToken, Draw, Proposal, make_batch
from trtnemo.backends.cuda.weights import load_weights
from trtnemo.checkpoint import Checkpoint
from trtnemo.network import NemotronH

IDS = np.random.default_rng(0).integers(3, 500, 100).tolist()


def test_a_bank_comes_expert_by_expert(make_checkpoint: Any) -> None:
    checkpoint = Checkpoint.open(make_checkpoint("nvfp4"))
    told: list[int] = []
    graphs = [NemotronH.from_checkpoint(checkpoint, "weight_only").record_target()]
    weights = load_weights(checkpoint, graphs, "mma", torch.device("meta"), lambda name, nbytes: told.append(nbytes))
    assert sum(told) == sum(weight.nbytes for weight in weights.packed.values())
    assert all(weight.words.device.type == "meta" for weight in weights.packed.values())


@pytest.mark.slow
def test_copies_in_fp8_change_drafts_a_little_and_no_answer(make_checkpoint: Any) -> None:
    directory = make_checkpoint("bf16", "least")
    plain, copied = (make_cuda(directory, slots=1, max_seq_len=64, fp8_drafts=fp8) for fp8 in (False, True))
    batch = make_batch([(0, 0, IDS[:4], False)])
    assert np.array_equal(plain.forward(batch).logits, copied.forward(batch).logits)
    expected, found = (executor.draft([DraftToken(0, 5)]) for executor in (plain, copied))
    assert 0 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    drafts = copied.propose([Proposal(0, 5, (Draw(), Draw()))])[0]
    verified = make_batch([(0, 4, [5, *drafts], True)])
    assert np.array_equal(plain.forward(verified).logits, copied.forward(verified).logits)
    copies = [name for name in copied.runner.weights.packed if ":" in name]
    assert len(copies) == 3  # the vocabulary's matrix, and both banks of experts
