"""What supervision counts, for Prometheus."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from trtnemo.errors import ServerError

STATES = ("starting", "serving", "ending", "waiting")
_HERE = "127.0.0.1"


class SupervisionMetrics:
    """One server's: its state, how often and of what it was lost, how long its starts take."""

    def __init__(self) -> None:
        self.registry = kept = CollectorRegistry()
        prefix = "trtnemo_supervised"
        self._state = Gauge(f"{prefix}_state", "1 for the state that it is in.", ["state"], registry=kept)
        self._since = Gauge(f"{prefix}_state_since_seconds", "When that began, since 1970.", registry=kept)
        self._losses = Counter(f"{prefix}_losses", "How often it was lost, by kind.", ["kind"], registry=kept)
        self._restarts = Counter(f"{prefix}_restarts", "How often it was started again.", registry=kept)
        self._drifts = Counter(f"{prefix}_drifts", "Odd answers to the known question.", registry=kept)
        self._start = Gauge(f"{prefix}_start_seconds", "What the last start took to a token.", registry=kept)
        self._began = time.monotonic()
        self.note("starting")

    def note(self, state: str) -> None:
        """Note a state."""
        for name in STATES:
            self._state.labels(name).set(name == state)
        self._since.set(time.time())

    def hear(self, event: str, more: dict[str, Any]) -> None:
        """Count an event."""
        if event == "start":
            self._began = time.monotonic()
        elif event == "serving":
            self._start.set(time.monotonic() - self._began)
        elif event == "lost":
            self._losses.labels(str(more.get("kind"))).inc()
        elif event == "restart":
            self._restarts.inc()
        elif event == "drift":
            self._drifts.inc()

    def serve(self, port: int) -> None:
        """Answer /metrics on this machine, from a thread; raises ServerError where the port is taken."""
        try:
            start_http_server(port, addr=_HERE, registry=self.registry)
        except OSError as error:
            raise ServerError(
                f"metrics cannot listen on {_HERE}:{port}: {error.strerror}", remedy="Give another --metrics-port"
            ) from None
