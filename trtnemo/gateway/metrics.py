"""What a gateway counts."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from trtnemo.gateway.upstream import Pool, Upstream

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class GatewayMetrics:
    """Requests, refusals, failures of streams, first bytes, and the state of each upstream."""

    def __init__(self, pool: Pool) -> None:
        self._registry = kept = CollectorRegistry()
        prefix, labels = "trtnemo_gateway", ["upstream", "status"]
        self.requests = Counter(f"{prefix}_requests", "Answers by upstream and status.", labels, registry=kept)
        self.stream_failures = Counter(
            f"{prefix}_stream_failures", "Answers that their server did not end.", registry=kept
        )
        self.first_byte = Histogram(
            f"{prefix}_first_byte_seconds", "Seconds until an answer begins.", buckets=_SECONDS, registry=kept
        )
        ready = Gauge(f"{prefix}_upstream_ready", "1 where it takes requests.", ["upstream"], registry=kept)
        running = Gauge(f"{prefix}_outstanding", "Requests that run.", ["upstream"], registry=kept)
        for upstream in pool.upstreams:
            ready.labels(upstream.base).set_function(partial(_is_ready, upstream))
            running.labels(upstream.base).set_function(partial(_outstanding, upstream))

    def render(self) -> bytes:
        """Return Prometheus' text."""
        return generate_latest(self._registry)


def _is_ready(upstream: Upstream) -> float:
    return float(upstream.is_ready)


def _outstanding(upstream: Upstream) -> float:
    return float(upstream.outstanding)
