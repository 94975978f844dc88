"""When the stages of one choice began, from its events, and the histograms that are told of them."""

from __future__ import annotations

import time

from trtnemo.front.meter import count_tokens
from trtnemo.runtime.messages import Event, Started, TokenGenerated
from trtnemo.server.metrics import ServerMetrics


class Timing:
    """The clock of one choice."""

    def __init__(self, metrics: ServerMetrics, prompt_tokens: int) -> None:
        self._metrics = metrics
        self._asked = time.monotonic()
        self._started: float | None = None
        self._first = self._last = 0.0
        self._tokens = 0
        metrics.prompt_length.observe(prompt_tokens)
        count_tokens(prompt_tokens)

    def hear(self, event: Event) -> None:
        """Note when an event came."""
        if isinstance(event, TokenGenerated):
            now = time.monotonic()
            if self._tokens:
                self._metrics.inter_token_seconds.observe(now - self._last)
            else:
                self._first = now
                self._metrics.time_to_first_token.observe(now - self._asked)
                self._metrics.prefill_seconds.observe(now - (self._started or self._asked))
            self._last = now
            self._tokens += 1
        elif isinstance(event, Started) and self._started is None:
            self._started = time.monotonic()
            self._metrics.queue_seconds.observe(self._started - self._asked)

    def end(self, reason: str) -> None:
        """Tell what the whole took."""
        metrics = self._metrics
        metrics.finished.labels(reason).inc()
        metrics.request_seconds.labels(reason).observe(time.monotonic() - self._asked)
        metrics.answer_length.observe(self._tokens)
        count_tokens(self._tokens)
        if self._tokens:
            metrics.decode_seconds.observe(self._last - self._first)
        if self._tokens > 1:
            metrics.time_per_output_token.observe((self._last - self._first) / (self._tokens - 1))
