"""Numbers of a run: what counts, by which clock, and what is not a run at all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.records import request, run_record
from trtnemo.bench.load.record import Counters
from trtnemo.bench.load.shape import LoadShape
from trtnemo.bench.load.summary import summarize
from trtnemo.errors import ServerError, UnansweredError


def test_rates_run_from_the_first_request_sent_to_the_last_answered() -> None:
    found = summarize(run_record([request(0, sent=1.0), request(1, sent=1.5)]))
    assert found.seconds == pytest.approx(0.7)
    assert found.metrics["output_tokens_per_second"] == pytest.approx(22 / 0.7)
    assert found.metrics["requests_per_second"] == pytest.approx(2 / 0.7)
    assert found.metrics["ttft_p50"] == pytest.approx(0.1)
    assert found.metrics["itl_p99"] == pytest.approx(0.01)
    assert found.metrics["latency_p90"] == pytest.approx(0.2)
    assert found.metrics["tokens_per_second_per_user"] == pytest.approx(100)


def test_devices_share_the_rate() -> None:
    found = summarize(run_record([request(0, sent=0.0)], devices=4))
    assert found.metrics["output_tokens_per_second_per_device"] * 4 == found.metrics["output_tokens_per_second"]


def test_warm_up_counts_for_nothing() -> None:
    slow = request(0, sent=0.0, first=50.0, warmup=True)
    found = summarize(run_record([slow, request(1, sent=60.0)]))
    assert found.requests == 1
    assert found.metrics["ttft_p99"] == pytest.approx(0.1)


def test_failed_and_unfinished_requests_are_told_and_do_not_count() -> None:
    bad = request(1, sent=0.0, status="failed", error="500"), request(2, sent=0.0, status="unfinished")
    found = summarize(run_record([request(0, sent=0.0), *bad]))
    assert (found.requests, found.failed, found.unfinished) == (1, 1, 1)
    assert found.metrics["output_tokens_per_second"] == pytest.approx(11 / 0.2)


def test_an_answer_of_thinking_alone_is_an_answer_and_is_told() -> None:
    found = summarize(run_record([request(0, sent=0.0, thinking_only=True, answer_first=None)]))
    assert (found.requests, found.thinking_only) == (1, 1)


@pytest.mark.parametrize("requests", [[], [request(0, sent=0.0, status="failed", error="HTTP 500 of the server")]])
def test_a_run_without_an_answer_is_an_error_and_no_row_of_zeros(requests: Any) -> None:
    with pytest.raises(ServerError, match=r"none of \d requests was answered"):
        summarize(run_record(requests))


def test_a_load_whose_warm_up_took_all_of_its_time_says_so() -> None:
    with pytest.raises(UnansweredError, match="none of 0 requests was answered: the warm-up took all"):
        summarize(run_record([request(0, sent=0.0, warmup=True)]))


def test_what_the_end_of_a_timed_load_cuts_off_is_not_lost() -> None:
    requests = [request(0, sent=0.0), request(1, sent=0.5, status="unfinished"), request(2, sent=0.5, status="failed")]
    assert summarize(run_record(requests)).lost == 2
    assert summarize(run_record(requests, shape=LoadShape(concurrency=2, seconds=1))).lost == 1


def test_acceptance_and_cache_hits_are_shares_of_what_the_server_counted() -> None:
    counters = Counters(drafted_tokens=40, accepted_tokens=30, verifications=20, cached_tokens=25, prompt_tokens=100)
    found = summarize(run_record([request(0, sent=0.0)], counters=counters))
    assert (found.acceptance, found.tokens_per_verification, found.cache_hits) == (0.75, 2.5, 0.25)
    silent = summarize(run_record([request(0, sent=0.0)]))
    assert (silent.acceptance, silent.tokens_per_verification, silent.cache_hits) == (None, None, None)


def test_a_single_token_has_no_interval() -> None:
    found = summarize(run_record([request(0, sent=0.0, tokens=1)]))
    assert "itl_p50" not in found.metrics
    assert "tokens_per_second_per_user" not in found.metrics
