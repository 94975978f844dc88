"""Prometheus metrics of the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trtnemo.runtime import EngineClient

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKEN_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_TOKENS = (1, 8, 32, 128, 512, 2048, 8192, 32768, 131072, 524288)
GAUGES = {
    "running": ("trtnemo_running_requests", "Sequences with a state slot"),
    "waiting": ("trtnemo_waiting_requests", "Sequences waiting for a slot"),
    "kv_pages": ("trtnemo_kv_pages", "Pages of KV cache"),
    "kv_pages_used": ("trtnemo_kv_pages_used", "Pages of KV cache in use, by sequences and kept prefixes"),
    "prefix_entries": ("trtnemo_prefix_entries", "Prompt prefixes whose state is kept"),
    "prefix_bytes": ("trtnemo_prefix_bytes", "Bytes of kept states"),
}
COUNTERS = {
    "steps": ("trtnemo_steps", "Executor steps"),
    "prompt_tokens": ("trtnemo_prompt_tokens", "Prompt tokens run"),
    "cached_tokens": ("trtnemo_cached_tokens", "Prompt tokens that a kept prefix spared"),
    "prefix_queries": ("trtnemo_prefix_queries", "Prompts looked up among the kept prefixes"),
    "prefix_hits": ("trtnemo_prefix_hits", "Prompts that began with a kept prefix"),
    "prefix_disk_hits": ("trtnemo_prefix_disk_hits", "Prompts whose kept prefix came from disk"),
    "preemptions": ("trtnemo_preemptions", "Sequences that lost their slot for a while"),
    "generated_tokens": ("trtnemo_generated_tokens", "Tokens generated"),
    "verifications": ("trtnemo_verifications", "Verifications of drafts"),
    "drafted_tokens": ("trtnemo_drafted_tokens", "Tokens drafted by the MTP head"),
    "accepted_tokens": ("trtnemo_accepted_tokens", "Drafted tokens accepted"),
}
BY_PLACE = {
    "drafted_at": ("trtnemo_drafted_at", "Tokens drafted, by their place behind the last token"),
    "accepted_at": ("trtnemo_accepted_at", "Drafted tokens accepted, by their place"),
}


class ServerMetrics:
    """Counters and histograms of one server, in a registry of their own."""

    def __init__(self, client: EngineClient, labels: Mapping[str, str] | None = None) -> None:
        """`labels` name the server in the series `target_info`, which queries join to all others."""
        self.registry = CollectorRegistry(target_info=dict(labels or {}))
        self.registry.register(_LoopCollector(client))
        ProcessCollector(registry=self.registry)  # memory, and when this server began
        self.requests = Counter(
            "trtnemo_requests", "Requests by endpoint and status", ["endpoint", "status"], registry=self.registry
        )
        self.stream_failures = Counter(
            "trtnemo_stream_failures", "Streams that ended with an error event", registry=self.registry
        )
        self.finished = Counter(
            "trtnemo_finished", "Answers by the reason of their end", ["finish_reason"], registry=self.registry
        )
        self.time_to_first_token = self._seconds("time_to_first_token", "From request to first token")
        self.request_seconds = self._seconds("request", "From request to last token", ["finish_reason"])
        self.queue_seconds = self._seconds("queue", "From request to a slot")
        self.prefill_seconds = self._seconds("prefill", "From a slot to the first token")
        self.decode_seconds = self._seconds("decode", "From first token to last")
        self.inter_token_seconds = self._seconds("inter_token", "Between two tokens of an answer", (), _TOKEN_SECONDS)
        self.time_per_output_token = self._seconds(
            "time_per_output_token", "Decoding seconds over tokens after the first", (), _TOKEN_SECONDS
        )
        self.prompt_length = self._tokens("prompt_length", "Tokens of prompts")
        self.answer_length = self._tokens("answer_length", "Tokens of answers")

    def _seconds(self, name: str, text: str, labels: Any = (), buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        return Histogram(f"trtnemo_{name}_seconds", text, labels, registry=self.registry, buckets=buckets)

    def _tokens(self, name: str, text: str) -> Histogram:
        return Histogram(f"trtnemo_{name}_tokens", text, registry=self.registry, buckets=_TOKENS)

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _LoopCollector(Collector):
    """Reads the engine's own statistics at scrape time."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    def collect(self) -> Iterator[Metric]:
        """Yield gauges and counters of the engine."""
        now, health = self._client.statistics, self._client.health
        yield GaugeMetricFamily("trtnemo_engine_up", "Whether the engine runs requests", float(health.is_up))
        yield CounterMetricFamily("trtnemo_engine_restarts", "Lives of the engine after its first", health.restarts)
        yield GaugeMetricFamily("trtnemo_slots", "Sequences that can run at once", self._client.budget.slots)
        for field, (name, text) in GAUGES.items():
            yield GaugeMetricFamily(name, text, getattr(now, field))
        for field, (name, text) in COUNTERS.items():
            yield CounterMetricFamily(name, text, getattr(now, field))
        for field, (name, text) in BY_PLACE.items():
            family = CounterMetricFamily(name, text, labels=["place"])
            for place, count in enumerate(getattr(now, field), start=1):
                family.add_metric([str(place)], count)
            yield family
