"""The network's numbers against transformers', on the checkpoints that the hub's layout allows."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import oracle
from tests.support.backends.executors import make_executor, make_native
from trtnemo.backends import DraftToken, make_batch

LENGTH = 200
both_executors = pytest.mark.parametrize("make", [make_executor, make_native], ids=["torch", "cpu"])
CASES = [
    ("bf16", "micro", 0),
    ("bf16", "micro", 1),
    ("bf16", "micro", 2),
    ("bf16", "small", 0),
    ("bf16", "small", 1),
    ("nvfp4", "micro", 0),
    ("nvfp4", "micro", 1),
    ("mixed", "micro", 0),
    ("mixed", "micro", 1),
    ("mixed", "small", 0),
]


def token_ids(seed: int, length: int = LENGTH) -> torch.Tensor:
    return torch.randint(0, 4096, (length,), generator=torch.Generator().manual_seed(seed))


@functools.cache
def expected_logits(directory: Path, seed: int) -> np.ndarray:
    return oracle.logits(oracle.load_model(directory), token_ids(seed)).numpy()


@pytest.mark.parametrize(("precision", "size", "seed"), CASES)
def test_prefill_logits_equal_transformers(make_checkpoint: Any, precision: Any, size: Any, seed: Any) -> None:
    directory = make_checkpoint(precision, size, seed)
    executor = make_executor(directory)
    found = executor.forward(make_batch([(0, 0, token_ids(seed).tolist(), False)])).logits
    assert np.abs(found - expected_logits(directory, seed)).max() < 1e-3


@pytest.mark.parametrize(("precision", "size", "seed"), CASES)
def test_logits_step_by_step_equal_transformers(make_checkpoint: Any, precision: Any, size: Any, seed: Any) -> None:
    directory = make_checkpoint(precision, size, seed)
    executor = make_executor(directory)
    ids = token_ids(seed).tolist()
    rows = [executor.forward(make_batch([(0, place, [token], False)])).logits[0] for place, token in enumerate(ids)]
    assert np.abs(np.stack(rows) - expected_logits(directory, seed)).max() < 1e-3


def test_logits_equal_transformers_own_decoding_steps(make_checkpoint: Any) -> None:
    """transformers' decode path has no dt clamp at all, so here its config is left alone."""
    from transformers import NemotronHForCausalLM

    directory = make_checkpoint("bf16")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = NemotronHForCausalLM.from_pretrained(directory, dtype=torch.float32)
        model.eval()
        ids, cache, rows = token_ids(0, 60), None, []
        with torch.no_grad():
            for token in ids:
                output = model(token[None, None], past_key_values=cache, use_cache=True)
                cache = output.past_key_values
                rows.append(output.logits[0, -1].numpy())
    executor = make_executor(directory)
    found = executor.forward(make_batch([(0, 0, ids.tolist(), False)])).logits
    assert np.abs(found - np.stack(rows)).max() < 1e-3


@both_executors
@pytest.mark.parametrize("chunks", [[40], [17, 23], [1] * 40, [30, -10]], ids=str)
@pytest.mark.parametrize("precision", ["bf16", "mixed"])
def test_draft_logits_equal_transformers_layers_as_mtp_head(
    make_checkpoint: Any, precision: str, chunks: Any, make: Any
) -> None:
    """However the tokens came in (a negative chunk is verified and committed), the head sees every pair."""
    directory = make_checkpoint(precision)
    head, tensors = oracle.mtp_model(directory)
    ids = token_ids(5, 41)
    executor = make(directory)
    hidden, position = [], 0
    for chunk in chunks:
        length = abs(chunk)
        for start in range(position, position + length, 5 if chunk < 0 else length):
            part = ids[start : min(start + 5, position + length) if chunk < 0 else position + length].tolist()
            batch = make_batch([(0, start, part, chunk < 0)], hidden_rows=list(range(len(part))))
            hidden.append(executor.forward(batch).hidden_states)
            if chunk < 0:
                executor.commit(0, len(part))
        position += length
    found = executor.draft([DraftToken(0, int(ids[-1]))])[0]
    embedded = oracle.mtp_inputs(tensors, ids[1:], torch.from_numpy(np.concatenate(hidden)))
    with torch.no_grad():
        expected = head(inputs_embeds=embedded[None]).logits[0, -1].numpy()
    assert np.abs(found - expected).max() < 1e-3


@both_executors
def test_second_draft_continues_from_the_heads_own_hidden_state(make_checkpoint: Any, make: Any) -> None:
    directory = make_checkpoint("bf16")
    head, tensors = oracle.mtp_model(directory)
    ids = token_ids(6, 12)
    executor = make(directory)
    result = executor.forward(make_batch([(0, 0, ids[:10].tolist(), False)], hidden_rows=list(range(10))))
    executor.draft([DraftToken(0, int(ids[10]))])
    found = executor.draft([DraftToken(0, int(ids[11]))])[0]
    first = oracle.mtp_inputs(tensors, ids[1:11], torch.from_numpy(result.hidden_states))
    with torch.no_grad():
        hidden = head.model(inputs_embeds=first[None]).last_hidden_state[0, -1:]
        second = torch.cat([first, oracle.mtp_inputs(tensors, ids[11:12], hidden)])
        expected = head(inputs_embeds=second[None]).logits[0, -1].numpy()
    assert np.abs(found - expected).max() < 1e-3
