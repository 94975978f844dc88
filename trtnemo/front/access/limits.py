"""How much one key may ask for: requests and tokens a minute, and requests at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from trtnemo.errors import BusyError


class LimitError(BusyError):
    """A key has used up what it may ask for; `retry_after` is in seconds."""

    def __init__(self, what: str, retry_after: float) -> None:
        self.retry_after = max(1, math.ceil(retry_after))
        super().__init__(what, remedy=f"Send it again in {self.retry_after} seconds")


class Bucket:
    """An allowance that fills up again at a steady rate, never above one minute's worth."""

    def __init__(self, a_minute: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = float(a_minute), clock
        self._left, self._then = self._most, clock()

    def seconds_until(self, amount: float) -> float:
        """Return how long until so much is there, 0 for now."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._then) * self._most / 60)
        self._then = now
        return max(0.0, (amount - self._left) * 60 / self._most)

    def take(self, amount: float) -> None:
        """Take so much, also more than is there: what is owed is waited for."""
        self._left -= amount


@dataclass
class _Use:
    requests: Bucket | None
    tokens: Bucket | None
    running: int = 0


class KeyLimits:
    """The use of every key, under the same limits."""

    def __init__(
        self,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        concurrency: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests, self._tokens, self._concurrency = requests_per_minute, tokens_per_minute, concurrency
        self._clock = clock
        self._uses: dict[str, _Use] = {}

    def begin(self, name: str) -> None:
        """Count a request in; raises LimitError."""
        use = self._use(name)
        if self._concurrency is not None and use.running >= self._concurrency:
            raise LimitError(f"{use.running} requests of this key are running, as many as may", 1)
        for bucket, amount, what in ((use.requests, 1.0, "requests"), (use.tokens, 1.0, "tokens")):
            wait = bucket.seconds_until(amount) if bucket is not None else 0.0
            if wait > 0:
                raise LimitError(f"this key has used up its {what} a minute", wait)
        if use.requests is not None:
            use.requests.take(1)
        use.running += 1

    def charge(self, name: str, tokens: int) -> None:
        """Count tokens that a request took."""
        use = self._use(name)
        if use.tokens is not None:
            use.tokens.take(tokens)

    def end(self, name: str) -> None:
        """Count a request out."""
        self._use(name).running -= 1

    def _use(self, name: str) -> _Use:
        if name not in self._uses:
            self._uses[name] = _Use(self._bucket(self._requests), self._bucket(self._tokens))
        return self._uses[name]

    def _bucket(self, a_minute: int | None) -> Bucket | None:
        return None if a_minute is None else Bucket(a_minute, self._clock)
