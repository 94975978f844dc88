"""The Executor protocol: ragged steps, verification, commit, snapshots, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.backends.executors import make_cuda, make_executor, make_interpreted, make_native
from trtnemo.backends import DraftToken, make_batch
from trtnemo.errors import StepError

TOKENS = np.random.default_rng(0).integers(0, 512, 200).tolist()


MAKERS: dict[str, Callable[..., Any]] = {
    "torch": make_executor,
    "cpu": make_native,
    "tensorrt": make_interpreted,
    "cuda": make_cuda,
}


# interpreted kernels take minutes for each of these; tests/backends/cuda has a scenario that runs every time
RUNTIMES = [pytest.param(name, marks=pytest.mark.long if name == "cuda" else ()) for name in MAKERS]


@pytest.fixture(params=RUNTIMES)
def executor(request: Any, make_checkpoint: Any) -> Any:
    return MAKERS[request.param](make_checkpoint("mixed", "least" if request.param == "cuda" else "micro"))


def feed(executor: Any, slot: Any, tokens: Any, position: Any = 0) -> Any:
    """Return logits [n, vocabulary] of tokens fed one by one."""
    steps = [executor.forward(make_batch([(slot, position + n, [token], False)])) for n, token in enumerate(tokens)]
    return np.concatenate([step.logits for step in steps])


def test_one_ragged_step_equals_tokens_fed_one_by_one(executor: Any) -> None:
    feed(executor, 0, TOKENS[:20])
    feed(executor, 1, TOKENS[20:25])
    parts = [(0, 20, TOKENS[100:101], False), (1, 5, TOKENS[110:140], False), (2, 0, TOKENS[140:147], False)]
    mixed = executor.forward(make_batch(parts)).logits
    feed(executor, 3, TOKENS[:20])
    feed(executor, 4, TOKENS[20:25])
    alone = [
        feed(executor, 3, TOKENS[100:101], 20),
        feed(executor, 4, TOKENS[110:140], 5),
        feed(executor, 5, TOKENS[140:147]),
    ]
    assert np.abs(mixed - np.concatenate(alone)).max() < 1e-5


@pytest.mark.parametrize("chunks", [[200], [1, 199], [64, 64, 72], [7] * 28 + [4]])
def test_chunked_prefill_gives_the_same_last_logits(executor: Any, chunks: Any) -> None:
    position = 0
    for chunk in chunks:
        last = executor.forward(make_batch([(0, position, TOKENS[position : position + chunk], False)])).logits[-1]
        position += chunk
    whole = executor.forward(make_batch([(1, 0, TOKENS, False)])).logits[-1]
    assert np.abs(last - whole).max() < 1e-5


def test_results_come_in_the_order_the_rows_were_asked_for(executor: Any) -> None:
    every = executor.forward(make_batch([(0, 0, TOKENS[:10], False)], hidden_rows=list(range(10))))
    some = executor.forward(make_batch([(1, 0, TOKENS[:10], False)], logit_rows=[7, 2], hidden_rows=[9, 0]))
    assert np.abs(some.logits - every.logits[[7, 2]]).max() < 1e-5
    assert np.abs(some.hidden_states - every.hidden_states[[9, 0]]).max() < 1e-5


@pytest.mark.parametrize("accepted", [0, 1, 3, 5])
def test_commit_leaves_the_state_that_accepted_tokens_alone_would_have(executor: Any, accepted: int) -> None:
    drafts, later = TOKENS[50:55], TOKENS[60:64]
    for slot in (0, 1):
        feed(executor, slot, TOKENS[:30])
    executor.forward(make_batch([(0, 30, drafts, True)]))
    executor.commit(0, accepted)
    if accepted:
        feed(executor, 1, drafts[:accepted], 30)
    verified, plain = feed(executor, 0, later, 30 + accepted), feed(executor, 1, later, 30 + accepted)
    assert np.abs(verified - plain).max() < 1e-5
    token = DraftToken(0, later[-1]), DraftToken(1, later[-1])
    drafted = executor.draft(token)
    assert np.abs(drafted[0] - drafted[1]).max() < 1e-5


def test_verification_logits_equal_plain_ones(executor: Any) -> None:
    feed(executor, 0, TOKENS[:30])
    verified = executor.forward(make_batch([(0, 30, TOKENS[30:36], True)])).logits
    feed(executor, 1, TOKENS[:30])
    assert np.abs(verified - feed(executor, 1, TOKENS[30:36], 30)).max() < 1e-5


def test_commit_overwrites_the_drafted_mtp_entries(executor: Any) -> None:
    """Drafting writes guesses into the MTP cache; after commit nothing of them may be left."""
    for slot in (0, 1):
        feed(executor, slot, TOKENS[:20])
    for token in TOKENS[70:74]:
        executor.draft([DraftToken(0, token)])
    executor.forward(make_batch([(0, 20, TOKENS[20:24], True)]))
    executor.commit(0, 4)
    feed(executor, 1, TOKENS[20:24], 20)
    found = executor.draft([DraftToken(0, TOKENS[24]), DraftToken(1, TOKENS[24])])
    assert np.abs(found[0] - found[1]).max() < 1e-5


def test_a_restored_snapshot_continues_like_the_original(executor: Any) -> None:
    feed(executor, 0, TOKENS[:40])
    snapshot = executor.snapshot(0)
    first = feed(executor, 0, TOKENS[40:50], 40)
    executor.restore(3, snapshot)
    assert np.array_equal(feed(executor, 3, TOKENS[40:50], 40), first)
    executor.restore(0, snapshot)
    assert np.array_equal(feed(executor, 0, TOKENS[40:50], 40), first)
    assert snapshot.length == 40
    assert snapshot.nbytes > 0


def test_a_snapshot_during_verification_stands_at_the_last_commit(executor: Any) -> None:
    feed(executor, 0, TOKENS[:20])
    executor.forward(make_batch([(0, 20, TOKENS[90:94], True)]))
    executor.restore(1, executor.snapshot(0))
    feed(executor, 2, TOKENS[:20])
    assert np.abs(feed(executor, 1, TOKENS[20:30], 20) - feed(executor, 2, TOKENS[20:30], 20)).max() < 1e-5


def test_a_draft_beyond_the_longest_sequence_is_refused(make_checkpoint: Any) -> None:
    executor = make_executor(make_checkpoint("mixed"), slots=1, max_seq_len=4)
    executor.forward(make_batch([(0, 0, TOKENS[:4], False)]))
    executor.draft([DraftToken(0, TOKENS[4])])
    with pytest.raises(StepError, match="beyond 4 tokens"):
        executor.draft([DraftToken(0, TOKENS[5])])


def test_a_released_slot_starts_afresh(executor: Any) -> None:
    first = feed(executor, 0, TOKENS[:10])
    executor.release(0)
    assert np.array_equal(feed(executor, 0, TOKENS[:10]), first)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(0, 5, [1], False)], "is at 0"),
        ([(8, 0, [1], False)], "budget of 8"),
        ([(0, 0, [1], False), (0, 1, [2], False)], "two segments"),
        ([(0, 0, [4096], False)], "vocabulary"),
        ([(0, 0, [-1], False)], "vocabulary"),
        ([(0, 0, [1] * 8, True)], "under verification"),
        ([(0, 0, [1] * 2049, False)], "exceeds 2048"),
        ([(0, 0, [], False)], "segment"),
    ],
)
def test_a_step_that_breaks_the_contract_is_refused(executor: Any, parts: Any, message: str) -> None:
    with pytest.raises(StepError, match=message):
        executor.forward(make_batch(parts))
    assert not executor.slots


def test_a_slot_under_verification_waits_for_commit(executor: Any) -> None:
    feed(executor, 0, TOKENS[:5])
    executor.forward(make_batch([(0, 5, TOKENS[5:8], True)]))
    with pytest.raises(StepError, match="waits for commit"):
        executor.forward(make_batch([(0, 5, TOKENS[5:6], False)]))
    with pytest.raises(StepError, match="cannot accept 4"):
        executor.commit(0, 4)
    executor.commit(0, 3)
    with pytest.raises(StepError, match="no tokens under verification"):
        executor.commit(0, 1)


def test_a_sequence_longer_than_the_budget_is_refused(make_checkpoint: Any) -> None:
    executor = make_executor(make_checkpoint("bf16"), max_seq_len=10)
    feed(executor, 0, TOKENS[:10])
    with pytest.raises(StepError, match="exceed 10 tokens"):
        feed(executor, 0, TOKENS[10:11], 10)


def test_drafting_without_a_head_is_refused(make_checkpoint: Any) -> None:
    executor = make_executor(make_checkpoint("bf16"), mtp=False)
    feed(executor, 0, TOKENS[:3])
    with pytest.raises(StepError, match="cannot draft"):
        executor.draft([DraftToken(0, 1)])
