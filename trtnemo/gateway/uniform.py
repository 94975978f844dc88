"""The metrics of the servers behind a gateway under one name each, whatever the server calls them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from trtnemo.gateway.upstream import Pool, Upstream
from trtnemo.launch.servers.registry import all_servers
from trtnemo.launch.servers.server import Server

_PREFIX = "trtnemo_upstream"
_PATIENCE = 2.0
_MOST_BYTES = 1 << 23
_SHARES = ("kv_used_share", "mamba_state_share", "acceptance_length")
# of Dynamo's frontend, and of our own server, which are no external servers
_DYNAMO = {
    "requests_running": "dynamo_frontend_inflight_requests",
    "requests_waiting": "dynamo_frontend_queued_requests",
    "time_to_first_token_seconds": "dynamo_frontend_time_to_first_token_seconds",
    "time_per_output_token_seconds": "dynamo_frontend_inter_token_latency_seconds",
    "request_seconds": "dynamo_frontend_request_duration_seconds",
    "generated_tokens_total": "dynamo_frontend_output_tokens_total",
}
_OURS = {
    "requests_running": "trtnemo_running_requests",
    "requests_waiting": "trtnemo_waiting_requests",
    "time_to_first_token_seconds": "trtnemo_time_to_first_token_seconds",
    "request_seconds": "trtnemo_request_seconds",
    "prompt_tokens_total": "trtnemo_prompt_tokens_total",
    "generated_tokens_total": "trtnemo_generated_tokens_total",
    "cached_prompt_tokens_total": "trtnemo_cached_tokens_total",
    "preemptions_total": "trtnemo_preemptions_total",
    "verifications_total": "trtnemo_verifications_total",
    "drafted_tokens_total": "trtnemo_drafted_tokens_total",
    "accepted_tokens_total": "trtnemo_accepted_tokens_total",
    "steps_total": "trtnemo_steps_total",
}
# name -> labels but for `le` left out -> value, summed; `le` is kept
Samples = dict[tuple[str, str], float]


async def uniform_metrics(pool: Pool, client: httpx.AsyncClient, headers: Mapping[str, str]) -> bytes:
    """Return the metrics of all upstreams as Prometheus' text; one that does not answer in time has none."""
    found = await asyncio.gather(*(_read(one, client, headers) for one in pool.upstreams))
    merged: dict[str, Metric] = {}
    for upstream, samples in zip(pool.upstreams, found, strict=True):
        for name, labels, value in translated(samples):
            family = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
            kind = "counter" if family.endswith("_total") else "histogram" if family != name else "gauge"
            title = family.removesuffix("_total")
            metric = merged.setdefault(title, Metric(title, "Of the servers behind, under one name.", kind))
            metric.add_sample(name, {"upstream": upstream.base, **labels}, value)
    registry = CollectorRegistry()
    registry.register(_Kept(list(merged.values())))
    return generate_latest(registry)


async def texts_of(addresses: Iterable[str], client: httpx.AsyncClient) -> bytes:
    """Return the texts for Prometheus of some addresses, one after the other; one that does not answer has none."""
    found = b""
    for address in addresses:
        with suppress(httpx.HTTPError):
            answer = await client.get(address, timeout=_PATIENCE)
            found += answer.content[:_MOST_BYTES] if answer.status_code == 200 else b""
    return found


class _Kept:
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        """Return the metrics."""
        return self._metrics


async def _read(upstream: Upstream, client: httpx.AsyncClient, headers: Mapping[str, str]) -> Samples:
    """Return an upstream's samples.

    TensorRT-LLM's own path is asked first: a read of its `/metrics`, which is JSON, takes the statistics away.
    """
    for path in dict.fromkeys(server.watch.metrics for server in _by_caution()):
        if path is None or (path == "/metrics" and upstream.owner in _TAKES_AWAY):
            continue
        try:
            answer = await client.get(upstream.base + path, timeout=_PATIENCE, headers=headers)
            if answer.status_code == 200:
                return samples_of(answer.text[:_MOST_BYTES])
        except (httpx.HTTPError, ValueError):
            continue
    return {}


# how a server that must not be asked for /metrics calls the owner of its model
_TAKES_AWAY = ("tensorrt_llm",)


def _by_caution() -> list[Server]:
    """Return servers, those with a path of their own first."""
    return sorted(all_servers().values(), key=lambda server: server.watch.metrics == "/metrics")


def samples_of(text: str) -> Samples:
    """Return samples by name and bound of a bucket, summed over all other labels; raises ValueError."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, str(sample.labels.get("le", "")))
            value = float(sample.value)
            found[key] = max(found.get(key, 0.0), value) if sample.name in _shares() else found.get(key, 0.0) + value
    return found


@functools.cache
def _shares() -> frozenset[str]:
    """Return the servers' own names of shares: of several engines the largest counts."""
    return frozenset(table[share] for table in _tables() for share in _SHARES if share in table)


def _tables() -> list[Mapping[str, str]]:
    return [*(server.metrics for server in all_servers().values()), _DYNAMO, _OURS]


def translated(samples: Samples) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield (uniform name, labels, value) of what a server tells."""
    names = {name for name, _ in samples}
    table = max(_tables(), key=lambda table: sum(own in names or f"{own}_count" in names for own in table.values()))
    values: dict[str, float] = {}
    for name, own in table.items():
        for suffix in ("", "_bucket", "_sum", "_count"):
            for (sample, bound), value in samples.items():
                if sample == f"{own}{suffix}":
                    labels = {"le": bound} if bound else {}
                    values[name] = value
                    yield f"{_PREFIX}_{name}{suffix}", labels, value
    if "acceptance_length" not in values and values.get("verifications_total"):
        length = 1 + values.get("accepted_tokens_total", 0.0) / values["verifications_total"]
        yield f"{_PREFIX}_acceptance_length", {}, length
