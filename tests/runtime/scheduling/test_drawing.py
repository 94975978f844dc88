"""An executor that draws tokens itself: the loop says the same with it, whatever its requests ask for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.support.backends.table_executor import TableExecutor
from trtnemo import SamplingParams
from trtnemo.backends import DraftToken, Draw, Proposal, StepBatch, StepResult
from trtnemo.runtime import LoopOptions, client_over
from trtnemo.runtime.client import iterate
from trtnemo.runtime.messages import TokenGenerated
from trtnemo.runtime.sampler import draw

TABLE = np.random.default_rng(0).normal(size=(12, 12)) * 2
HEAD = TABLE + np.random.default_rng(1).normal(size=(12, 12))


def drawn(row: Any, how: Draw) -> int:
    params = SamplingParams(temperature=how.temperature, top_k=how.top_k, top_p=how.top_p, min_p=how.min_p)
    return int(np.argmax(row)) if how.temperature == 0 else draw(np.asarray(row), params, how.seed, how.place)


class Drawing(TableExecutor):
    """Draws with the sampler's own function; every fifth token is left to the host, as where candidates are too few."""

    def __init__(self) -> None:
        super().__init__(TABLE, HEAD)
        self.drawn, self.left, self.logits = 0, 0, 0

    def forward(self, batch: StepBatch) -> StepResult:
        found = super().forward(batch)
        assert len(batch.draws) == len(batch.logit_rows)
        tokens = []
        for row, how in zip(found.logits, batch.draws, strict=True):
            self.drawn += how is not None
            is_left = how is None or self.drawn % 5 == 0
            tokens.append(-1 if is_left or how is None else drawn(row, how))
        self.left += tokens.count(-1)
        logits = found.logits[np.asarray(tokens) < 0] if tokens else found.logits
        return dataclasses.replace(found, logits=logits, tokens=np.asarray(tokens, np.int64))

    def propose(self, proposals: Sequence[Proposal]) -> list[list[int]]:
        chains = []
        for proposal in proposals:
            token, chain = proposal.token_id, []
            for how in proposal.draws:
                token = drawn(self.draft([DraftToken(proposal.slot, token)])[0], how)
                chain.append(token)
            chains.append(chain)
        return chains


ASKED: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 1.0, "top_p": 0.9},
    {"temperature": 0.7, "top_k": 4, "min_p": 0.1},
    {"temperature": 1.0, "presence_penalty": 1.5},
    {"temperature": 1.0, "logprobs": 2, "prompt_logprobs": 1},
    {"temperature": 1.0, "bad_words": ((3,), (5, 1))},
    {"temperature": 1.0, "allowed_token_ids": (1, 2, 9)},
    {"temperature": 1.0, "logit_bias": {4: 5.0}},
    {"temperature": 1.0, "min_tokens": 7, "stop_token_ids": (2, 3, 4)},
]


@pytest.mark.parametrize("drafts", [0, 3])
def test_every_request_hears_the_same_tokens(drafts: int) -> None:
    def answers(executor: Any) -> Any:
        client = client_over(executor, frozenset({11}), LoopOptions(drafts))
        found = []
        for seed, asked in enumerate(ASKED):
            params = SamplingParams(max_tokens=20, seed=seed, **asked)
            events = iterate(client, client.check([1, 2, seed], params))
            found.append([(e.token_id, e.logprob) for e in events if isinstance(e, TokenGenerated)])
        client.close()
        return found

    executor = Drawing()
    assert answers(executor) == answers(TableExecutor(TABLE, HEAD))
    assert executor.drawn > 30
    assert executor.left > 10


class Breaking(TableExecutor):
    """Gives no numbers for the sequence that has seen token 7."""

    def forward(self, batch: StepBatch) -> StepResult:
        found = super().forward(batch)
        slots = {part.slot for part in batch.segments if 7 in batch.token_ids[part.rows]}
        return dataclasses.replace(found, broken=frozenset(slots))


def test_a_sequence_without_numbers_ends_with_an_error_and_the_others_go_on() -> None:
    client = client_over(Breaking(TABLE, HEAD), frozenset(), LoopOptions(0))
    greedy = SamplingParams(temperature=0, max_tokens=3, allowed_token_ids=(1, 2))
    heard: list[Any] = []
    client.submit(client.check([3, 7], greedy), heard.append)
    other = list(iterate(client, client.check([3, 4], greedy)))
    client.close(drain=True)
    assert [type(event).__name__ for event in heard] == ["Started", "Failed"]
    assert "no numbers" in heard[-1].message
    assert sum(isinstance(event, TokenGenerated) for event in other) == 3
