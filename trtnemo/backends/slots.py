"""What every executor checks before it changes a slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from trtnemo.backends.executor import Budget
from trtnemo.backends.step import StepBatch
from trtnemo.errors import StepError


class SlotView(Protocol):
    """What a check needs to know of a slot."""

    @property
    def length(self) -> int:
        """Committed tokens."""
        ...

    @property
    def is_pending(self) -> bool:
        """Whether tokens wait for commit."""
        ...


def check_slot(budget: Budget, slot: int) -> None:
    """Raise StepError on a slot outside the budget."""
    if not 0 <= slot < budget.slots:
        raise StepError(f"slot {slot} lies outside the budget of {budget.slots}")


def check_step(budget: Budget, batch: StepBatch, slots: Mapping[int, SlotView]) -> None:
    """Raise StepError unless the batch fits the budget and continues each slot where it stands."""
    batch.validate()
    if len(batch.token_ids) > budget.max_num_tokens:
        raise StepError(f"a step of {len(batch.token_ids)} tokens exceeds {budget.max_num_tokens}")
    if len(batch.token_ids) and not (batch.token_ids.min() >= 0 and batch.token_ids.max() < budget.vocab_size):
        raise StepError(f"a token id lies outside the vocabulary of {budget.vocab_size}")
    for segment in batch.segments:
        check_slot(budget, segment.slot)
        state = slots.get(segment.slot)
        length = state.length if state else 0
        if state and state.is_pending:
            raise StepError(f"slot {segment.slot} waits for commit")
        if segment.position != length:
            raise StepError(f"slot {segment.slot} is at {length}, its segment at {segment.position}")
        if segment.speculative and segment.length > budget.max_draft_tokens + 1:
            raise StepError(f"{segment.length} tokens under verification exceed {budget.max_draft_tokens} drafts")
        if segment.position + segment.length > budget.max_seq_len:
            raise StepError(f"slot {segment.slot} would exceed {budget.max_seq_len} tokens")


def check_accepted(accepted: int, pending: int) -> None:
    """Raise StepError unless `accepted` of the tokens under verification can be taken."""
    if not 0 <= accepted <= pending:
        raise StepError(f"cannot accept {accepted} of {pending} tokens")
