"""Clients that ask a server for streams without pause, and count what became of each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.support.waiting import wait_until

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
AFTER_NOTHING = 0.01  # seconds: a refused connection costs nothing, and there would be thousands
SILENCE = 60.0


class Clients:
    """Ask from several threads; `outcomes` counts what came of it.

    answered: up to [DONE]. error event, refused (no connection), broken off, status NNN: the client knows. hung:
    nothing came for a minute. lost: it ended like an answer, and was none.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.outcomes: Counter[str] = Counter()
        self._stop, self._lock = threading.Event(), threading.Lock()

    @contextmanager
    def asking(self, count: int = 2) -> Iterator[Clients]:
        """Ask while the block runs."""
        threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def wait_for(self, outcome: str) -> None:
        """Return when one more request came to this."""
        before = self.outcomes[outcome]
        wait_until(lambda: self.outcomes[outcome] > before, 60)

    def _run(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(timeout=SILENCE, limits=limits, trust_env=False) as client:
            while not self._stop.is_set():
                outcome = self._ask(client)
                with self._lock:
                    self.outcomes[outcome] += 1
                if outcome != "answered":
                    self._stop.wait(AFTER_NOTHING)

    def _ask(self, client: httpx.Client) -> str:
        try:
            with client.stream("POST", f"{self.url}/v1/chat/completions", json=BODY) as response:
                if response.status_code != 200:
                    return f"status {response.status_code}"
                lines = [line for line in response.iter_lines() if line]
        except httpx.ConnectError:
            return "refused"
        except httpx.TimeoutException:
            return "hung"
        except httpx.TransportError:
            return "broken off"
        if any("error" in line for line in lines):
            return "error event"
        return "answered" if lines and lines[-1] == "data: [DONE]" else "lost"
