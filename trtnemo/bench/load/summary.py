"""The numbers of a run: rates, and times at the percentiles that people quote."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from trtnemo.bench.load.record import RequestRecord, RunRecord
from trtnemo.errors import UnansweredError

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Metric:
    """One number of a run: its name, its unit, and whether more of it is better."""

    name: str
    unit: str
    more_is_better: bool


METRICS = {
    item.name: item
    for item in (
        Metric("output_tokens_per_second", "tokens/s", True),
        Metric("output_tokens_per_second_per_device", "tokens/s", True),
        Metric("tokens_per_second_per_user", "tokens/s", True),
        Metric("requests_per_second", "1/s", True),
        *(Metric(f"ttft_p{share}", "s", False) for share in PERCENTILES),
        *(Metric(f"itl_p{share}", "s", False) for share in PERCENTILES),
        *(Metric(f"latency_p{share}", "s", False) for share in PERCENTILES),
    )
}


@dataclass(frozen=True)
class Summary:
    """A run in numbers; `metrics` by the names of METRICS, seconds and tokens a second.

    lost: requests that should have been answered and were not, those that the end of a timed load cut off left out;
    prompt_tokens: mean of the answered requests'.

    Tokens a second of a user: the median over requests of its tokens after the first, by the time that they took.
    """

    requests: int
    failed: int
    unfinished: int
    lost: int
    empty: int
    thinking_only: int
    seconds: float
    metrics: dict[str, float]
    acceptance: float | None
    tokens_per_verification: float | None
    cache_hits: float | None
    prompt_tokens: float | None = None

    def as_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return dataclasses.asdict(self)


def summarize(run: RunRecord) -> Summary:
    """Return the numbers of a run's measured requests; raises UnansweredError when none of them was answered."""
    measured = [request for request in run.requests if not request.warmup]
    answered = [request for request in measured if request.status == "ok" and request.output_tokens]
    if not answered:
        errors = sorted({request.error for request in measured if request.error})
        why = "the warm-up took all of the time" if run.requests and not measured else "".join(errors[:1])[:300]
        what = f"none of {len(measured)} requests was answered"
        raise UnansweredError(f"{what}: {why}" if why else what, where=run.server.url)
    start = min(request.sent for request in measured)
    end = max(request.done or 0.0 for request in answered)
    tokens = sum(request.output_tokens or 0 for request in answered)
    seconds = max(end - start, 1e-9)
    unfinished = sum(request.status == "unfinished" for request in measured)
    failed = sum(request.status == "failed" for request in measured)
    empty = sum(request.status == "ok" and not request.output_tokens for request in measured)
    prompts = [request.prompt_tokens for request in answered if request.prompt_tokens is not None]
    return Summary(
        requests=len(answered),
        failed=failed,
        unfinished=unfinished,
        lost=failed + empty + (unfinished if run.shape.seconds is None else 0),
        empty=empty,
        thinking_only=sum(request.thinking_only for request in answered),
        seconds=seconds,
        metrics={
            "output_tokens_per_second": tokens / seconds,
            "output_tokens_per_second_per_device": tokens / seconds / run.devices,
            "requests_per_second": len(answered) / seconds,
            **_times(answered),
        },
        acceptance=run.counters.acceptance,
        tokens_per_verification=run.counters.tokens_per_verification,
        cache_hits=run.counters.cache_hits,
        prompt_tokens=fmean(prompts) if prompts else None,
    )


def token_interval(request: RequestRecord) -> float | None:
    """Return the mean seconds between tokens, None where there were fewer than two."""
    if request.first is None or request.last is None or (request.output_tokens or 0) < 2:
        return None
    return (request.last - request.first) / ((request.output_tokens or 2) - 1)


def _times(answered: Sequence[RequestRecord]) -> dict[str, float]:
    ttft = [request.first - request.sent for request in answered if request.first is not None]
    intervals = [found for request in answered if (found := token_interval(request)) is not None]
    latency = [request.done - request.sent for request in answered if request.done is not None]
    result: dict[str, float] = {}
    for name, values in (("ttft", ttft), ("itl", intervals), ("latency", latency)):
        if values:
            result |= {f"{name}_p{share}": float(np.percentile(values, share)) for share in PERCENTILES}
    if intervals and (middle := float(np.median(intervals))) > 0:
        result["tokens_per_second_per_user"] = 1 / middle
    return result
