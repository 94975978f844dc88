"""Prometheus metrics of the server."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trtnemo.runtime import EngineClient

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class ServerMetrics:
    """Counters and histograms of one server, in a registry of their own."""

    def __init__(self, client: EngineClient) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_LoopCollector(client))
        ProcessCollector(registry=self.registry)  # memory, and when this server began
        self.requests = Counter(
            "trtnemo_requests", "Requests by endpoint and status", ["endpoint", "status"], registry=self.registry
        )
        self.stream_failures = Counter(
            "trtnemo_stream_failures", "Streams that ended with an error event", registry=self.registry
        )
        self.time_to_first_token = Histogram(
            "trtnemo_time_to_first_token_seconds",
            "From request to first token",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.request_seconds = Histogram(
            "trtnemo_request_seconds", "From request to last token", registry=self.registry, buckets=_SECONDS
        )

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _LoopCollector(Collector):
    """Reads the engine loop's own statistics at scrape time."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    def collect(self) -> Iterator[Metric]:
        """Yield gauges and counters of the loop."""
        now = self._client.statistics
        yield GaugeMetricFamily("trtnemo_running_requests", "Sequences with a state slot", now.running)
        yield GaugeMetricFamily("trtnemo_waiting_requests", "Sequences waiting for a slot", now.waiting)
        yield CounterMetricFamily("trtnemo_steps", "Executor steps", now.steps)
        yield CounterMetricFamily("trtnemo_prompt_tokens", "Prompt tokens run", now.prompt_tokens)
        yield CounterMetricFamily("trtnemo_cached_tokens", "Prompt tokens that a kept prefix spared", now.cached_tokens)
        yield CounterMetricFamily("trtnemo_preemptions", "Sequences that lost their slot for a while", now.preemptions)
        yield CounterMetricFamily("trtnemo_generated_tokens", "Tokens generated", now.generated_tokens)
        yield CounterMetricFamily("trtnemo_verifications", "Verifications of drafts", now.verifications)
        yield CounterMetricFamily("trtnemo_drafted_tokens", "Tokens drafted by the MTP head", now.drafted_tokens)
        yield CounterMetricFamily("trtnemo_accepted_tokens", "Drafted tokens accepted", now.accepted_tokens)
