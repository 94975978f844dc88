"""The slot book: where each sequence stands, and what the Executor protocol refuses, once for every backend.

A backend keeps its buffers only, as each slot's `data`; lengths, tokens under verification, drafts and snapshots are
counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from trtnemo.backends.executor import Budget, DraftToken
from trtnemo.backends.step import Segment, StepBatch
from trtnemo.errors import StepError

Data = TypeVar("Data")


class StateCopy(Protocol):
    """A copy of one slot's buffers."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        ...

    def swap_out(self) -> None:
        """Copy what is shared with the executor, and give it back."""
        ...


@dataclass(frozen=True)
class SlotSnapshot:
    """A slot's state at one length; `owner` is the book that took it, since buffers fit no other executor's."""

    length: int
    copy: StateCopy
    owner: object

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.copy.nbytes

    def swap_out(self) -> None:
        """Copy what is shared with the executor, and give it back."""
        self.copy.swap_out()


@dataclass
class Slot(Generic[Data]):
    """One sequence. length: committed tokens; pending: tokens under verification; drafted: drafts since the commit."""

    data: Data
    length: int = 0
    pending: int = 0
    drafted: int = 0

    @property
    def draft_position(self) -> int:
        """The entry of the MTP cache that the next draft writes."""
        return self.length - 1 + self.drafted

    @property
    def end(self) -> int:
        """The first entry behind all that its KV caches hold."""
        return max(self.length + self.pending, self.draft_position if self.drafted else 0)


class SlotBook(Generic[Data]):
    """The slots of one executor; every method raises StepError before anything has changed."""

    def __init__(self, budget: Budget, new_data: Callable[[], Data], *, has_mtp: bool) -> None:
        self.budget = budget
        self._new_data, self._has_mtp = new_data, has_mtp
        self._slots: dict[int, Slot[Data]] = {}
        self._token = object()

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, slot: int) -> bool:
        return slot in self._slots

    def __getitem__(self, slot: int) -> Slot[Data]:
        return self._slots[slot]

    def end(self, slot: int) -> int:
        """Return the first entry behind all that a slot's KV caches hold; 0 for an empty slot."""
        return self._slots[slot].end if slot in self._slots else 0

    def check(self, batch: StepBatch) -> None:
        """Require that a batch fits the budget and continues each slot where it stands."""
        budget, ids = self.budget, batch.token_ids
        batch.validate()
        if len(ids) > budget.max_num_tokens:
            raise StepError(f"a step of {len(ids)} tokens exceeds {budget.max_num_tokens}")
        if len(ids) and not (ids.min() >= 0 and ids.max() < budget.vocab_size):
            raise StepError(f"a token id lies outside the vocabulary of {budget.vocab_size}")
        for segment in batch.segments:
            self._check_segment(segment)

    def _check_segment(self, segment: Segment) -> None:
        budget, found = self.budget, self._slots.get(segment.slot)
        self._require_slot(segment.slot)
        if found is not None and found.pending:
            raise StepError(f"slot {segment.slot} waits for commit")
        length = 0 if found is None else found.length
        if segment.position != length:
            raise StepError(f"slot {segment.slot} is at {length}, its segment at {segment.position}")
        if segment.speculative and segment.length > budget.max_draft_tokens + 1:
            raise StepError(f"{segment.length} tokens under verification exceed {budget.max_draft_tokens} drafts")
        if segment.position + segment.length > budget.max_seq_len:
            raise StepError(f"slot {segment.slot} would exceed {budget.max_seq_len} tokens")

    def _require_slot(self, slot: int) -> None:
        if not 0 <= slot < self.budget.slots:
            raise StepError(f"slot {slot} lies outside the budget of {self.budget.slots}")

    def open(self, slot: int) -> Slot[Data]:
        """Return a slot, made when it is empty."""
        if slot not in self._slots:
            self._slots[slot] = Slot(self._new_data())
        return self._slots[slot]

    def take(self, segment: Segment) -> Slot[Data]:
        """Count a segment in that a step has run: at once, or as pending when it is under verification."""
        slot = self.open(segment.slot)
        slot.drafted = 0
        if segment.speculative:
            slot.pending = segment.length
        else:
            slot.length += segment.length
        return slot

    def drafting(self, tokens: Sequence[DraftToken]) -> list[Slot[Data]]:
        """Return the slots that are about to draft a token each."""
        if len({token.slot for token in tokens}) < len(tokens):
            raise StepError("a slot drafts twice in one call")
        for token in tokens:
            if not 0 <= token.token_id < self.budget.vocab_size:
                raise StepError(f"a token id lies outside the vocabulary of {self.budget.vocab_size}")
            slot = self._slots.get(token.slot)
            if not self._has_mtp or slot is None or slot.length == 0 or slot.pending:
                raise StepError(
                    f"slot {token.slot} cannot draft: it needs an MTP head, a committed token and no open verification"
                )
            if slot.draft_position >= self.budget.max_seq_len:
                raise StepError(f"slot {token.slot} would draft beyond {self.budget.max_seq_len} tokens")
        return [self._slots[token.slot] for token in tokens]

    def verifying(self, slot: int, accepted: int) -> Slot[Data]:
        """Return the slot whose first `accepted` tokens under verification are about to be committed."""
        found = self._slots.get(slot)
        if found is None or not found.pending:
            raise StepError(f"slot {slot} has no tokens under verification")
        if not 0 <= accepted <= found.pending:
            raise StepError(f"cannot accept {accepted} of {found.pending} tokens")
        return found

    def commit(self, slot: int, accepted: int) -> None:
        """Count accepted tokens in, and forget the rest."""
        found = self._slots[slot]
        found.length, found.pending, found.drafted = found.length + accepted, 0, 0

    def standing(self, slot: int) -> Slot[Data]:
        """Return a slot that holds a sequence."""
        if slot not in self._slots:
            raise StepError(f"slot {slot} is empty")
        return self._slots[slot]

    def snapshot(self, slot: int, copy: StateCopy) -> SlotSnapshot:
        """Return the snapshot of a slot at its last commit."""
        return self.made(self.standing(slot).length, copy)

    def is_own(self, snapshot: Any) -> bool:
        """Return whether this book took the snapshot."""
        return isinstance(snapshot, SlotSnapshot) and snapshot.owner is self._token

    def restoring(self, slot: int, snapshot: Any) -> Any:
        """Return the copy that a slot is about to be given back."""
        copy = self.copy_of(snapshot)
        self._require_slot(slot)
        return copy

    def copy_of(self, snapshot: Any) -> Any:
        """Return a snapshot's copy."""
        if not self.is_own(snapshot):
            raise StepError("the snapshot is another executor's")
        return snapshot.copy

    def made(self, length: int, copy: StateCopy) -> SlotSnapshot:
        """Return the snapshot of a sequence that no slot holds: its copy comes from elsewhere."""
        return SlotSnapshot(length, copy, self._token)

    def restore(self, slot: int, snapshot: Any, data: Data) -> None:
        """Give a slot the snapshot's length, and the data that was made of its copy."""
        self._slots[slot] = Slot(data, snapshot.length)

    def release(self, slot: int) -> bool:
        """Forget a sequence; return whether there was one."""
        return self._slots.pop(slot, None) is not None
