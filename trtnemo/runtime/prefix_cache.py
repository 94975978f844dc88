"""Snapshots of prompts' beginnings, found again by their tokens: a hybrid's state is there whole or not at all."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Sequence

import numpy as np

from trtnemo.lowering import Snapshot

# A shorter prefix is run faster than it is kept.
LEAST_TOKENS = 64


class PrefixCache:
    """Snapshots by the tokens that they stand after, under a budget of bytes; the least recently used goes first."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.held_bytes = 0
        self._snapshots: OrderedDict[bytes, Snapshot] = OrderedDict()
        self._lengths: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._snapshots)

    def find(self, tokens: Sequence[int]) -> Snapshot | None:
        """Return the snapshot of the longest known beginning that leaves at least one token to run."""
        found = None
        for length, digest in _digests(tokens, sorted(self._lengths)):
            if length < len(tokens) and digest in self._snapshots:
                found = digest
        if found is None:
            return None
        self._snapshots.move_to_end(found)
        return self._snapshots[found]

    def wants(self, tokens: Sequence[int]) -> bool:
        """Return whether a state after these tokens is worth keeping: long enough, and not there yet."""
        if not self.budget_bytes or len(tokens) < LEAST_TOKENS:
            return False
        digest = _digest(tokens)
        if digest in self._snapshots:
            self._snapshots.move_to_end(digest)
            return False
        return True

    def store(self, tokens: Sequence[int], snapshot: Snapshot) -> None:
        """Keep a snapshot, unless it alone exceeds the budget; older ones make room."""
        if snapshot.nbytes > self.budget_bytes:
            return
        while self.held_bytes + snapshot.nbytes > self.budget_bytes:
            self.evict()
        self._snapshots[_digest(tokens)] = snapshot
        self._lengths[snapshot.length] += 1
        self.held_bytes += snapshot.nbytes

    def evict(self) -> bool:
        """Drop the least recently used snapshot; return whether there was one."""
        if not self._snapshots:
            return False
        _, snapshot = self._snapshots.popitem(last=False)
        self._lengths[snapshot.length] -= 1
        if not self._lengths[snapshot.length]:
            del self._lengths[snapshot.length]
        self.held_bytes -= snapshot.nbytes
        return True


def _digest(tokens: Sequence[int]) -> bytes:
    return hashlib.blake2b(np.asarray(tokens, np.int64).tobytes(), digest_size=16).digest()


def _digests(tokens: Sequence[int], lengths: Sequence[int]) -> list[tuple[int, bytes]]:
    """Return the digest of each beginning of one of the lengths, in one pass."""
    data = np.asarray(tokens, np.int64)
    running, start, found = hashlib.blake2b(digest_size=16), 0, []
    for length in lengths:
        if length > len(data):
            break
        running.update(data[start:length].tobytes())
        start = length
        found.append((length, running.copy().digest()))
    return found
