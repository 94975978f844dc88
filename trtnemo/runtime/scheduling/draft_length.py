"""How many tokens to draft: as many as what was measured of acceptance and cost says pays.

A round of k drafts gives 1 + a1 + a1 a2 + ... tokens (a_i: how often draft i passes when those before it did). What it
costs is kept as a ratio to the rounds around it: a machine that grows slower or faster as a whole decides nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

_MEMORY = 0.98  # what an average keeps of its past at each new value, once it has seen enough
_PRIOR = 0.7, 2  # the acceptance assumed at first, and how many values it counts for
_FIRST_TRIES = 6  # of each number
_COLD_TRIES = 2  # of these, the first that say nothing of later rounds
_MARGIN = 1.04  # by how much another number must seem better: what an average may be wrong by
_PAUSES = 128, 2048  # rounds between trials: at first, and when trials keep changing nothing
_TRIAL_LOSS = 0.01  # of the rounds since the last trial, what a trial may cost
_LONGEST_TRIAL = 8
_COLD_LOSS = 2.0  # rounds that a trial's first one costs more: the head reads then what it was spared
_SETTLE_EVERY = 4  # rounds: thinking costs time too


class DraftLength:
    """Chooses among 0 to `most` drafts, for each size of batch on its own; acceptance is one for all."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._passed = [_PRIOR[0]] * most
        self._seen = [_PRIOR[1]] * most
        self._batches: dict[int, BatchChoice] = {}

    def choose(self, sequences: int, room: int | None = None) -> int:
        """Return how many drafts each of so many sequences writes in the next round, `room` at most."""
        most = self.most if room is None else min(self.most, max(0, room))
        return self._batch(sequences).choose(most, self.tokens)

    def tokens(self, count: int) -> float:
        """Return the tokens that a round of so many drafts is expected to give a sequence."""
        expected, reached = 1.0, 1.0
        for passed in self._passed[:count]:
            reached *= passed
            expected += reached
        return expected

    def seconds(self, sequences: int, count: int) -> float | None:
        """Return what such a round costs, or None before one was seen."""
        return self._batch(sequences).seconds(count)

    def record(self, count: int, accepted: Sequence[int], seconds: float) -> None:
        """Take in a round: drafts a sequence, how many of them passed in each sequence, and how long it took."""
        self._batch(len(accepted)).record(count, seconds)
        for passed in accepted:
            for place in range(min(count, passed + 1)):
                self._seen[place] += 1
                weight = max(1 - _MEMORY, 1 / self._seen[place])
                self._passed[place] += weight * ((place < passed) - self._passed[place])

    def _batch(self, sequences: int) -> BatchChoice:
        """Return what is known of batches up to the power of two at or above a number of sequences."""
        size = 1 << max(0, sequences - 1).bit_length()
        found = self._batches.get(size)
        if found is None:
            found = self._batches[size] = BatchChoice()
        return found


class BatchChoice:
    """What rounds cost at one size of batch, and the number of drafts that runs there."""

    def __init__(self) -> None:
        self.current = 0
        self._tries: dict[int, list[float]] = {}
        self._costs: dict[int, float] = {}  # relative to each other
        self._unit = 1.0  # seconds of a round of cost 1, now
        self._pause, self._rounds = _PAUSES[0], 0
        self._trial, self._trial_rounds, self._is_cold = 0, 0, False

    def seconds(self, count: int) -> float | None:
        """Return what a round of so many drafts takes now."""
        return self._costs[count] * self._unit if count in self._costs else None

    def choose(self, most: int, tokens: Callable[[int], float]) -> int:
        """Return how many drafts run next; `tokens` says how many tokens a round yields."""
        for count in range(most + 1):
            if count not in self._costs:
                return count
        if self._trial_rounds > 0 and self._trial <= most:
            return self._trial
        self._rounds += 1
        if self._rounds % _SETTLE_EVERY == 1:
            self._settle(most, tokens)
        current = min(self.current, most)
        if self._rounds >= self._pause:
            self._plan_trial(current, most, tokens)
        return self._trial if self._trial_rounds > 0 and self._trial <= most else current

    def record(self, count: int, seconds: float) -> None:
        """Take in how long a round took."""
        if count not in self._costs:
            tries = self._tries.setdefault(count, [])
            tries.append(seconds)
            if len(tries) == _FIRST_TRIES:
                self._costs[count] = statistics.mean(sorted(tries[_COLD_TRIES:])[:-1])  # one may have waited
            return
        if count == self._trial and self._trial_rounds > 0:
            self._trial_rounds -= 1
            if self._is_cold:
                self._is_cold = False
                return
        # a round that waited for something else says little of the next
        ratio = min(2.0, max(0.5, seconds / (self._unit * self._costs[count])))
        if count == self.current:
            self._unit *= ratio**0.1
        else:
            self._costs[count] *= ratio**0.2

    def _settle(self, most: int, tokens: Callable[[int], float]) -> None:
        """Move to another number when it is clearly better, and to none when that is not worse."""
        rates = [tokens(count) / self._costs[count] for count in range(most + 1)]
        best = max(range(most + 1), key=rates.__getitem__)
        current = min(self.current, most)
        if rates[best] > _MARGIN * rates[current]:
            current = best
        if rates[0] >= rates[current]:
            current = 0
        if most >= self.current != current:
            self.current, self._pause, self._rounds = current, _PAUSES[0], 0

    def _plan_trial(self, current: int, most: int, tokens: Callable[[int], float]) -> None:
        """Choose another number, each in its turn, and for how many rounds it can be afforded."""
        self._rounds, allowed = 0, _TRIAL_LOSS * self._pause
        self._pause = min(2 * self._pause, _PAUSES[1])
        trial = (self._trial + 1) % (most + 1)
        if trial == current:
            trial = (trial + 1) % (most + 1)
        loss = self._costs[trial] / self._costs[current] - tokens(trial) / tokens(current)
        afforded = _LONGEST_TRIAL if loss <= 0 else min(_LONGEST_TRIAL, int((allowed - _COLD_LOSS) / loss))
        self._trial, self._is_cold = trial, True
        self._trial_rounds = 1 + afforded if afforded > 0 else 0
