"""An executor whose next token depends on the last one alone, by a table: its sequences' law is known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trtnemo.backends import Budget, StepResult
from trtnemo.errors import StepError


class TableExecutor:
    """target and head [vocabulary, vocabulary] hold logits of the next token given the last; checks the protocol."""

    computes_here = True

    def __init__(self, target: Any, head: Any, slots: Any = 8, drafts: Any = 6, max_num_tokens: Any = 64) -> None:
        self.target, self.head = (np.asarray(table, np.float32) for table in (target, head))
        self.budget = Budget(slots, 64, max_num_tokens, drafts, len(self.target))
        self.lengths: dict[int, int] = {}
        self.pending: dict[int, int] = {}
        self.drafted_steps = 0
        self.snapshot_bytes = 1

    def forward(self, batch: Any) -> StepResult:
        batch.validate()
        assert len(batch.token_ids) <= self.budget.max_num_tokens
        for segment in batch.segments:
            if segment.slot in self.pending or segment.position != self.lengths.get(segment.slot, 0):
                raise StepError("the slot waits for commit, or stands elsewhere")
            if segment.speculative:
                self.pending[segment.slot] = segment.length
            else:
                self.lengths[segment.slot] = segment.position + segment.length
        return StepResult(self.target[batch.token_ids[batch.logit_rows]], np.empty((0, 1), np.float32))

    def draft(self, tokens: Any) -> Any:
        assert all(token.slot not in self.pending and self.lengths[token.slot] for token in tokens)
        self.drafted_steps += 1
        return self.head[[token.token_id for token in tokens]]

    def commit(self, slot: Any, accepted: Any) -> None:
        assert 1 <= accepted <= self.pending.pop(slot)
        self.lengths[slot] += accepted

    def release(self, slot: Any) -> None:
        self.lengths.pop(slot, None)
        self.pending.pop(slot, None)

    def snapshot(self, slot: Any) -> Any:
        return TableSnapshot(self.lengths[slot], self.snapshot_bytes)

    def restore(self, slot: Any, snapshot: Any) -> None:
        self.lengths[slot] = snapshot.length

    def has_room(self, segments: Any) -> Any:
        return True

    def can_restore(self, snapshot: Any) -> Any:
        return True


@dataclass(frozen=True)
class TableSnapshot:
    length: int
    nbytes: int

    def swap_out(self) -> None:
        pass
