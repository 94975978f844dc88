"""What one slot remembers: recurrent states, KV caches, tokens under verification, the MTP head's place."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

# the recurrent state of one op for one sequence
State = tuple[Tensor, ...]


class KvCache:
    """Keys and values [tokens, heads, head_dim] of one attention layer; grows by doubling."""

    def __init__(self, heads: int, head_dim: int, capacity: int = 64) -> None:
        self.keys = torch.zeros(capacity, heads, head_dim)
        self.values = torch.zeros(capacity, heads, head_dim)

    def write(self, position: int, keys: Tensor, values: Tensor) -> None:
        """Overwrite the entries from `position` on."""
        end = position + len(keys)
        while end > len(self.keys):
            self.keys = torch.cat([self.keys, torch.zeros_like(self.keys)])
            self.values = torch.cat([self.values, torch.zeros_like(self.values)])
        self.keys[position:end] = keys
        self.values[position:end] = values

    def copy(self, length: int) -> KvCache:
        """Return a cache of its own with the first `length` entries."""
        other = KvCache(self.keys.shape[1], self.keys.shape[2], max(length, 1))
        other.write(0, self.keys[:length], self.values[:length])
        return other

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.keys.nbytes + self.values.nbytes


@dataclass
class Pending:
    """A segment under verification: its ids, target hidden states, and the rows that ops with state read."""

    token_ids: Tensor
    hidden_states: Tensor
    kept_rows: dict[str, Tensor]


@dataclass
class SlotState:
    """The buffers of one sequence.

    last_hidden: the target's hidden state of the last committed token, which the MTP head pairs with the token after
    it; draft_hidden: the head's own, of the last draft.
    """

    recurrent: dict[str, State] = field(default_factory=dict)
    caches: dict[str, KvCache] = field(default_factory=dict)
    last_hidden: Tensor | None = None
    pending: Pending | None = None
    draft_hidden: Tensor | None = None

    def copy(self, length: int) -> SlotState:
        """Return an independent copy after `length` tokens; recurrent states are never written in place."""
        # The MTP cache holds one entry less than the target's, so `length` covers both.
        caches = {name: cache.copy(length) for name, cache in self.caches.items()}
        return SlotState(dict(self.recurrent), caches, self.last_hidden)

    def swap_out(self) -> None:
        """Do nothing: a copied state shares nothing."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        recurrent = sum(part.nbytes for state in self.recurrent.values() for part in state)
        return recurrent + sum(cache.nbytes for cache in self.caches.values())
