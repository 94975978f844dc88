"""Run records made by hand, for tests."""

from __future__ import annotations

from typing import Any

from trtnemo.bench.load.record import Counters, RequestRecord, RunRecord, Server
from trtnemo.bench.load.shape import LoadShape


def request(number: Any, *, sent: Any, first: Any = 0.1, interval: Any = 0.01, tokens: Any = 11, **more: Any) -> Any:
    """Return an answered request: `first` seconds to the first token, then one every `interval`."""
    last = sent + first + interval * (tokens - 1)
    known = {
        "status": "ok",
        "warmup": False,
        "first": sent + first,
        "last": last,
        "done": last,
        "output_tokens": tokens,
    }
    return RequestRecord(number=number, sent=sent, **{**known, **more})


def run_record(requests: Any, **more: Any) -> Any:
    """Return a run of these requests."""
    known = {
        "started": 1.0,
        "shape": LoadShape(concurrency=2),
        "server": Server(url="http://127.0.0.1:1", model="tiny"),
        "machine": {"cores": "2"},
        "counters": Counters(),
        "generator": "by hand",
        "prompts_digest": "0",
    }
    return RunRecord(requests=tuple(requests), **{**known, **more})
