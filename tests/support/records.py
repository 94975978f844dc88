"""Run records made by hand, for tests."""

from __future__ import annotations

from trtnemo.bench.load.record import Counters, RequestRecord, RunRecord, Server
from trtnemo.bench.load.shape import LoadShape


def request(number, *, sent, first=0.1, interval=0.01, tokens=11, **more):
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


def run_record(requests, **more):
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
