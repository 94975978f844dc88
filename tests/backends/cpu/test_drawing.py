"""Tokens that the native executor draws: those that the sampler draws of the same logits, drafts as well."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.support.backends.executors import make_native
from trtnemo import SamplingParams
from trtnemo.backends import DraftToken, Draw, Proposal, make_batch
from trtnemo.errors import StepError
from trtnemo.runtime.sampler import draw

PROMPTS = [list(range(10, 40)), list(range(200, 260)), [7, 8, 9]]
WAYS = [
    Draw(),
    Draw(temperature=1.0, seed=5, place=3),
    Draw(temperature=0.7, top_k=4, min_p=0.1, seed=2**63 - 1, place=90),
    Draw(temperature=1.0, top_p=0.8, seed=1),
]


@pytest.fixture(scope="module")
def pair(make_checkpoint: Any) -> Any:
    """Two executors of one checkpoint, so that one can be asked for logits and the other for tokens."""
    directory = make_checkpoint("mixed")
    return [make_native(directory, slots=4, threads=2, activations="int16", kv_cache="float16") for _ in range(2)]


def drawn(row: Any, how: Draw) -> int:
    """Return the token as the sampler finds it."""
    if how.temperature == 0:
        return int(np.argmax(row))
    params = SamplingParams(temperature=how.temperature, top_k=how.top_k, top_p=how.top_p, min_p=how.min_p)
    return draw(row, params, how.seed, how.place)


def prefill(executor: Any, draws: tuple[Draw | None, ...] = ()) -> Any:
    """Run the prompts in one step, the last row of each wanted."""
    batch = make_batch([(slot, 0, ids, False) for slot, ids in enumerate(PROMPTS)], logit_rows=[29, 89, 92])
    return executor.forward(dataclasses.replace(batch, draws=draws))


@pytest.fixture(autouse=True)
def released(pair: Any) -> Any:
    yield
    for executor in pair:
        for slot in range(4):
            executor.release(slot)


@pytest.mark.parametrize("how", WAYS)
def test_a_row_becomes_the_samplers_own_token(pair: Any, how: Draw) -> None:
    logits = prefill(pair[0]).logits
    found = prefill(pair[1], (how,) * 3)
    assert found.rows() == [drawn(row, how) for row in logits]
    assert found.logits.shape == (0, logits.shape[1])


def test_rows_without_a_draw_come_as_logits_in_their_order(pair: Any) -> None:
    logits = prefill(pair[0]).logits
    rows = prefill(pair[1], (None, WAYS[1], None)).rows()
    assert rows[1] == drawn(logits[1], WAYS[1])
    assert np.array_equal(rows[0], logits[0])
    assert np.array_equal(rows[2], logits[2])


def test_drafts_are_those_of_the_head_run_one_by_one(pair: Any) -> None:
    counts, last = [3, 0, 2], [5, 6, 7]
    chains = [
        tuple(dataclasses.replace(WAYS[slot + 1], place=ahead) for ahead in range(counts[slot])) for slot in range(3)
    ]
    for executor in pair:
        prefill(executor)
    expected: list[list[int]] = [[], [], []]
    for slot, draws in enumerate(chains):
        token = last[slot]
        for how in draws:
            token = drawn(pair[0].draft([DraftToken(slot, token)])[0], how)
            expected[slot].append(token)
    found = pair[1].propose([Proposal(slot, last[slot], chains[slot]) for slot in range(3)])
    assert found == expected
    # both stand alike afterwards: the next draft of each is the same
    again = [executor.draft([DraftToken(0, expected[0][-1])])[0] for executor in pair]
    assert np.array_equal(*again)


def test_a_chain_that_would_pass_the_contexts_end_is_refused_before_it_begins(make_checkpoint: Any) -> None:
    executor = make_native(make_checkpoint("mixed"), slots=1, max_seq_len=8)
    executor.forward(make_batch([(0, 0, list(range(6)), False)]))
    with pytest.raises(StepError, match="beyond 8"):
        executor.propose([Proposal(0, 5, (Draw(),) * 4)])
    assert len(executor.propose([Proposal(0, 5, (Draw(),) * 3)])[0]) == 3


def test_a_slot_whose_logits_are_no_numbers_is_named_and_the_others_are_drawn(
    make_checkpoint: Any, tmp_path: Path
) -> None:
    directory = tmp_path / "spoiled"
    shutil.copytree(make_checkpoint("mixed"), directory)
    shard = directory / "model.safetensors"
    tensors = load_file(shard)
    tensors["backbone.embeddings.weight"][6] = float("nan")
    save_file(tensors, shard, {"format": "pt"})
    executor = make_native(directory, slots=2)
    batch = make_batch([(0, 0, [4, 5], False), (1, 0, [6], False)], logit_rows=[1, 2])
    logits = executor.forward(batch).logits
    for slot in range(2):
        executor.release(slot)
    found = executor.forward(dataclasses.replace(batch, draws=(Draw(), Draw())))
    assert found.broken == {1}
    assert found.rows()[0] == int(np.argmax(logits[0]))
    assert len(found.rows()) == 2
