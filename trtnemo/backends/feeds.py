"""What the MTP head's cache has to take in of a sequence, for executors that keep hidden states as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class SlotHidden:
    """Hidden states of a sequence that the MTP head reads, and tokens under verification.

    last: the target's, of the last committed token; drafted: the head's own, of the last draft.
    """

    last: Tensor | None = None
    drafted: Tensor | None = None
    pending_ids: Tensor | None = None
    pending: Tensor | None = None


@dataclass(frozen=True)
class Feed:
    """Tokens that the cache has to take in from `position` on, each with the target's hidden state before it."""

    slot: int
    token_ids: Tensor
    hidden: Tensor
    position: int


def feed_of(slot: int, last: Tensor | None, length: int, ids: Tensor, hidden: Tensor) -> Feed | None:
    """Return the feed of tokens that follow `length` committed ones, or None where there is nothing to take in.

    Entry t of the cache pairs the hidden state of token t with token t+1, so it lags by one; `last` is the hidden state
    of the last committed token, None where there is none.
    """
    if last is None:
        found = Feed(slot, ids[1:], hidden[:-1], 0)
    else:
        found = Feed(slot, ids, torch.cat([last[None], hidden[:-1]]), length - 1)
    return found if len(found.token_ids) else None
