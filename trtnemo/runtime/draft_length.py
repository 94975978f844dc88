"""How many tokens to draft: as many as what was measured of acceptance and cost says pays.

A round of k drafts gives 1 + a1 + a1 a2 + ... tokens (a_i: how often draft i passes when those before it did) and costs
what rounds of k drafts took; the k with the most tokens a second runs. Now and then another one is tried.
"""

from __future__ import annotations

from collections.abc import Sequence

_EXPLORE_EVERY = 96  # rounds: a useless try of four times the cost stays below 3 %
_MEMORY = 0.95  # what an average keeps of its past at each new value
_FIRST_TRIES = 2


class DraftLength:
    """Chooses among 0 to `most` drafts, for each size of batch on its own; acceptance is one for all."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.rounds = 0
        self._passed = [0.7] * most
        self._seconds: dict[tuple[int, int], float] = {}
        self._tries: dict[tuple[int, int], int] = {}

    def choose(self, sequences: int, room: int | None = None) -> int:
        """Return how many drafts each of so many sequences writes in the next round, `room` at most."""
        bucket, most = _bucket(sequences), self.most if room is None else min(self.most, max(0, room))
        for count in range(most, -1, -1):
            if self._tries.get((bucket, count), 0) < _FIRST_TRIES:
                return count
        best = max(range(most + 1), key=lambda count: self.tokens(count) / self._seconds[bucket, count])
        self.rounds += 1
        if self.rounds % _EXPLORE_EVERY == 0:
            turn = self.rounds // _EXPLORE_EVERY
            return min(most, best + 1) if turn % 2 else max(0, best - 1)
        return best

    def tokens(self, count: int) -> float:
        """Return the tokens that a round of so many drafts is expected to give a sequence."""
        expected, reached = 1.0, 1.0
        for passed in self._passed[:count]:
            reached *= passed
            expected += reached
        return expected

    def seconds(self, sequences: int, count: int) -> float | None:
        """Return what such a round costs, or None before one was seen."""
        return self._seconds.get((_bucket(sequences), count))

    def record(self, count: int, accepted: Sequence[int], seconds: float) -> None:
        """Take in a round: drafts a sequence, how many of them passed in each sequence, and how long it took."""
        key = (_bucket(len(accepted)), count)
        self._tries[key] = self._tries.get(key, 0) + 1
        known = self._seconds.get(key)
        # a round that waited for something else says nothing of the next
        seconds = seconds if known is None else min(seconds, 4 * known)
        self._seconds[key] = seconds if known is None else _MEMORY * known + (1 - _MEMORY) * seconds
        for passed in accepted:
            for place in range(min(count, passed + 1)):
                self._passed[place] = _MEMORY * self._passed[place] + (1 - _MEMORY) * (place < passed)


def _bucket(sequences: int) -> int:
    """Return the power of two at or above a number of sequences."""
    return 1 << max(0, sequences - 1).bit_length()
