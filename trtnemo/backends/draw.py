"""How an executor that draws tokens itself is told to, and what it must offer besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Draw:
    """How the token of one row is drawn, as `runtime/sampler.py` draws it.

    temperature: 0 takes the likeliest; top_k: 0 keeps all; seed, place: what the noise of each token belongs to.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0
    place: int = 0

    def is_restricted(self, vocab_size: int) -> bool:
        """Return whether only some candidates may be drawn."""
        has_limits = 0 < self.top_k < vocab_size or self.top_p < 1 or self.min_p > 0
        return self.temperature > 0 and has_limits


@dataclass(frozen=True)
class Proposal:
    """A slot that drafts: the token that it was given last, and how each of its drafts is drawn."""

    slot: int
    token_id: int
    draws: tuple[Draw, ...]


@runtime_checkable
class Drawer(Protocol):
    """An executor that takes `StepBatch.draws`, and chains drafts without bringing logits to the host."""

    def propose(self, proposals: Sequence[Proposal]) -> list[list[int]]:
        """Return each slot's drafts, as many as it has draws; what is drawn for them need not be exact."""
        ...
