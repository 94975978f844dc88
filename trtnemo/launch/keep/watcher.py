"""Asks a running server what it can bear to be asked, and judges what it hears."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from trtnemo.launch.keep.clock import Clock
from trtnemo.launch.keep.failure import Failure
from trtnemo.launch.keep.judge import Judge
from trtnemo.launch.keep.place import Place
from trtnemo.launch.keep.probes import Canary, ask_canary, ask_health, read_counters
from trtnemo.launch.servers.watch import WITHOUT_A_LIMIT, Watch

COUNTER_SECONDS = 5.0
CANARY_SECONDS, CANARY_AGAIN = 30.0, 5.0


class Watcher:
    """Watches one life of a server. Questions wait on threads, so that one without an answer holds nothing up."""

    def __init__(self, place: Place, watch: Watch, gpus: int, clock: Clock) -> None:
        self._clock = clock
        self._judge = Judge(watch, gpus, clock.now())
        self._pool = ThreadPoolExecutor(3, "trtnemo-watch")
        self._drifts: list[str] = []
        patience, base, headers = clock.real(watch.health_patience), place.url, place.headers
        asks_for, longest = place.model, clock.real(WITHOUT_A_LIMIT)
        self._asks = [
            _Ask(lambda: ask_health(base + place.health, patience), self._judge.saw_health, watch.health_seconds),
            _Ask(lambda: read_counters(base, watch, patience, headers), self._judge.saw_counters, COUNTER_SECONDS),
            _Ask(lambda: ask_canary(base, asks_for, longest, headers), self._hear_canary, CANARY_SECONDS),
        ]

    def step(self) -> None:
        """Hear what was answered, and ask what is due."""
        now = self._clock.now()
        for ask in self._asks:
            ask.step(self._pool, now)

    def _hear_canary(self, now: float, canary: Canary) -> float | None:
        waited = canary.seconds / self._clock.scale
        if canary.is_turned_away:
            self._judge.was_turned_away(now)
            return None
        self._judge.saw_token(now, canary.failure, waited)
        if canary.drift is not None:
            self._drifts.append(canary.drift)
        return CANARY_AGAIN if canary.failure is not None else None

    def drifts(self) -> list[str]:
        """Return what was odd about answers since the last time."""
        found, self._drifts = self._drifts, []
        return found

    def failure(self) -> Failure | None:
        """Return why the server is lost, or None."""
        return self._judge.failure(self._clock.now())

    def close(self) -> None:
        """Ask nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Ask:
    """One question, asked again and again; `hear` may return the seconds until the next time."""

    def __init__(self, ask: Callable[[], Any], hear: Callable[[float, Any], float | None], every: float) -> None:
        self._ask, self._hear, self._every = ask, hear, every
        self._due = 0.0
        self._answer: Future[Any] | None = None

    def step(self, pool: ThreadPoolExecutor, now: float) -> None:
        """Hear the answer that has come, or ask again where it is time."""
        if self._answer is not None:
            if self._answer.done():
                again = self._hear(now, self._answer.result())
                self._answer, self._due = None, now + (self._every if again is None else again)
        elif now >= self._due:
            self._answer = pool.submit(self._ask)
