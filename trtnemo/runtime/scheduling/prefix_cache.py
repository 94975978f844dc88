"""Snapshots of prompt prefixes, found by their tokens: a hybrid's state exists only where it was copied."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence

from trtnemo.backends import Snapshot
from trtnemo.runtime.prefixes.key import key_of, keys_of

# A shorter prefix is run faster than it is kept.
LEAST_TOKENS = 64


class PrefixCache:
    """Snapshots by the tokens that they stand after, under a budget of bytes.

    Ends of chunks are kept on trial until a prompt starts from one. The least recently used goes first, of those on
    trial while they hold half of what is held: long prompts that nobody repeats do not push out the ends of turns.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._proven = _Shelf()
        self._trial = _Shelf()
        self._lengths: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._proven) + len(self._trial)

    @property
    def held_bytes(self) -> int:
        """Bytes of all snapshots."""
        return self._proven.held_bytes + self._trial.held_bytes

    def find(self, tokens: Sequence[int], salt: str = "") -> Snapshot | None:
        """Return the snapshot of the longest known prefix of the same salt that leaves at least one token to run."""
        _, found = self._longest(tokens, salt)
        if found is None:
            return None
        if found in self._trial:
            self._proven.put(found, self._trial.take(found))
        self._proven.move_to_end(found)
        return self._proven[found]

    def reach(self, tokens: Sequence[int], salt: str = "") -> int:
        """Return how many tokens the snapshot stands after that `find` would return; 0 for none."""
        return self._longest(tokens, salt)[0]

    def _longest(self, tokens: Sequence[int], salt: str) -> tuple[int, bytes | None]:
        known = keys_of(tokens, sorted(self._lengths), salt)
        held = [(length, key) for length, key in known if key in self._proven or key in self._trial]
        return next((item for item in reversed(held) if item[0] < len(tokens)), (0, None))

    def key_for(self, tokens: Sequence[int], salt: str = "") -> bytes | None:
        """Return where to store a state after these tokens, None where it is too short or there already."""
        if not self.budget_bytes or len(tokens) < LEAST_TOKENS:
            return None
        key = key_of(tokens, salt)
        for shelf in (self._proven, self._trial):
            if key in shelf:
                shelf.move_to_end(key)
                return None
        return key

    def store(self, key: bytes, snapshot: Snapshot, *, on_trial: bool = False) -> bool:
        """Keep a snapshot, unless it alone exceeds the budget, and return whether it is kept; others make room."""
        if snapshot.nbytes > self.budget_bytes:
            return False
        while self.held_bytes + snapshot.nbytes > self.budget_bytes:
            self.evict()
        (self._trial if on_trial else self._proven).put(key, snapshot)
        self._lengths[snapshot.length] += 1
        return True

    def evict(self) -> bool:
        """Drop the snapshot that is missed least; return whether there was one."""
        if not len(self):
            return False
        shelf = self._trial if 2 * self._trial.held_bytes >= self.held_bytes else self._proven
        snapshot = shelf.take(next(iter(shelf)))
        self._lengths[snapshot.length] -= 1
        if not self._lengths[snapshot.length]:
            del self._lengths[snapshot.length]
        return True


class _Shelf(OrderedDict[bytes, Snapshot]):
    """Snapshots, the least recently used first, and their bytes."""

    held_bytes = 0

    def put(self, key: bytes, snapshot: Snapshot) -> None:
        self[key] = snapshot
        self.held_bytes += snapshot.nbytes

    def take(self, key: bytes) -> Snapshot:
        snapshot = self.pop(key)
        self.held_bytes -= snapshot.nbytes
        return snapshot
