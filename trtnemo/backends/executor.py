"""The protocol that every executor keeps, whatever it runs on: torch, the native CPU runtime, TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trtnemo.backends.step import Float32, Segment, StepBatch, StepResult


@dataclass(frozen=True)
class Budget:
    """What an executor has room for, known at its start.

    slots: sequences with state; max_seq_len: tokens of one sequence; max_num_tokens: tokens of one step;
    max_draft_tokens: drafts of one speculative segment (0 without an MTP head).
    """

    slots: int
    max_seq_len: int
    max_num_tokens: int
    max_draft_tokens: int
    vocab_size: int


@dataclass(frozen=True)
class DraftToken:
    """A token put to a slot's MTP head: the sampled one first, then each draft in turn."""

    slot: int
    token_id: int


class Snapshot(Protocol):
    """A sequence's whole state at one length, immutable; for prefix reuse and preemption."""

    @property
    def length(self) -> int:
        """Tokens that the state stands after."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that the snapshot holds."""
        ...

    def swap_out(self) -> None:
        """Copy what it shares with its executor, so that the executor has the room again."""
        ...


class Executor(Protocol):
    """Runs steps over slots of per-sequence state; a slot is created by its first segment, at position 0."""

    @property
    def budget(self) -> Budget:
        """What there is room for."""
        ...

    @property
    def computes_here(self) -> bool:
        """Whether the calling thread computes, with others beside it, and does not wait for a device."""
        ...

    def forward(self, batch: StepBatch) -> StepResult:
        """Run one ragged step; raises StepError before any state has changed."""
        ...

    def draft(self, tokens: Sequence[DraftToken]) -> Float32:
        """Return draft logits [n, vocabulary], one row per slot, for the token after each given one.

        The first call after a commit continues from the target's hidden state, each further call from the head's own.
        """
        ...

    def commit(self, slot: int, accepted: int) -> None:
        """Accept the first tokens of the slot's speculative segment and forget the rest.

        Advances the recurrent state over the accepted tokens and overwrites the MTP cache from the target's hidden
        states.
        """
        ...

    def snapshot(self, slot: int) -> Snapshot:
        """Return a copy of the slot's state at its last commit."""
        ...

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Give the slot the snapshot's state; what it held is dropped."""
        ...

    def release(self, slot: int) -> None:
        """Forget the slot's sequence; releasing an empty slot does nothing."""
        ...

    def has_room(self, segments: Sequence[Segment]) -> bool:
        """Return whether there is KV cache for the segments, drafts before them included."""
        ...

    def can_restore(self, snapshot: Snapshot) -> bool:
        """Return whether there is KV cache for a snapshot."""
        ...
