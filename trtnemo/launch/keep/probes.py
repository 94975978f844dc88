"""What a running server is asked: health, counters, and a short answer that is known."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from trtnemo.endpoint import summed_metrics
from trtnemo.launch.keep.judge import Counters
from trtnemo.launch.servers.watch import Watch

QUESTION, KNOWN = "What is the capital of Japan? Answer with its name alone.", "tokyo"
_MOST_METRICS = 1 << 23


@functools.cache
def _client() -> httpx.Client:
    """Return the one client of all questions: to make one reads all certificates of this machine.

    It keeps no connection, which its server may close just then, and takes no proxy of the environment.
    """
    return httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)


def ask_health(url: str, patience: float) -> str | None:
    """Return what was wrong with health, None where it is 200."""
    try:
        status = _client().get(url, timeout=patience).status_code
    except httpx.HTTPError as error:
        return type(error).__name__
    return None if status == 200 else str(status)


def read_counters(
    base: str, watch: Watch, patience: float, headers: Mapping[str, str] | None = None
) -> Counters | None:
    """Return what the metrics say of running requests and steps, None where they say nothing."""
    if watch.metrics is None or not watch.running:
        return None
    try:
        response = _client().get(base + watch.metrics, timeout=patience, headers=headers)
    except httpx.HTTPError:
        return None
    try:
        sums = summed_metrics(response.text[:_MOST_METRICS]) if response.status_code == 200 else {}
    except ValueError:
        return None
    counted = [sums[name] for name in watch.steps if name in sums]
    return Counters(sums[watch.running], sum(counted)) if watch.running in sums and counted else None


@dataclass(frozen=True)
class Canary:
    """What a known question got: the seconds, why there was no token, and what was odd about the answer.

    is_turned_away: it was told to come again, as others are where a queue is full.
    """

    seconds: float
    failure: str | None = None
    drift: str | None = None
    is_turned_away: bool = False


def ask_canary(base: str, model: str, patience: float, headers: Mapping[str, str] | None = None) -> Canary:
    """Ask the known question."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 16,
        "temperature": 0,
        "logprobs": True,
        # without them the answer of some parsers is null
        "chat_template_kwargs": {"enable_thinking": False, "force_nonempty_content": True},
    }
    began = time.monotonic()
    try:
        response = _client().post(f"{base}/v1/chat/completions", json=body, timeout=patience, headers=headers)
    except httpx.HTTPError as error:
        return Canary(time.monotonic() - began, f"{type(error).__name__} after {patience:.0f} s")
    seconds = time.monotonic() - began
    if response.status_code in (429, 503):  # its queue is full: neither a token, nor none
        return Canary(seconds, is_turned_away=True)
    if response.status_code != 200:
        return Canary(seconds, f"status {response.status_code}: {response.text[:200]}")
    try:
        choice = response.json()["choices"][0]
        text = choice["message"].get("content") or ""
    except (ValueError, LookupError, TypeError, AttributeError):
        return Canary(seconds, f"an answer without choices: {response.text[:200]}")
    if not text and not choice.get("finish_reason"):
        return Canary(seconds, "an empty answer")
    return Canary(seconds, drift=_oddness(text, choice))


def _oddness(text: str, choice: dict[str, Any]) -> str | None:
    scores = (choice.get("logprobs") or {}).get("content") or ()
    values = [item.get("logprob") for item in scores if isinstance(item, dict)]
    if any(not isinstance(value, (int, float)) or not math.isfinite(value) for value in values):
        return "a log probability that is no finite number"
    if len(text) > 3 and len(set(text)) == 1:
        return f"one character again and again: {text[:16]!r}"
    return None if KNOWN in text.lower() else f"the answer does not say {KNOWN!r}: {text[:60]!r}"
