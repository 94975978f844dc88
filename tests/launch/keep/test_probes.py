"""What a running server is asked, and what is made of its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.scripted import scripted
from trtnemo.launch.keep.judge import Counters
from trtnemo.launch.keep.probes import ask_canary, ask_health, read_counters
from trtnemo.launch.servers.registry import find_server

VLLM = find_server("vllm").watch
METRICS = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a } b"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:iteration_tokens_total_count{engine="0"} 41.0
vllm:iteration_tokens_total_bucket{engine="0",le="1.0"} 7.0
vllm:generation_tokens_total{engine="0"} 1.5e+03
vllm:generation_tokens_total_created{engine="0"} 1.7e+09
"""


def getting(body: bytes, status: int = 200) -> Any:
    return lambda handler: handler._answer(status, body, {})


def test_counters_are_summed_over_labels_and_only_those_asked_for() -> None:
    with scripted(do_GET=getting(METRICS.encode())) as url:
        assert read_counters(url, VLLM, 5) == Counters(4.0, 1541.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "vllm:num_requests_running 1",
        "vllm:num_requests_running{} x\n",
        "vllm:iteration_tokens_total_count 3",
    ],
)
def test_metrics_that_do_not_say_both_say_nothing(text: str) -> None:
    with scripted(do_GET=getting(text.encode())) as url:
        assert read_counters(url, VLLM, 5) is None
    with scripted(do_GET=getting(METRICS.encode(), 404)) as url:
        assert read_counters(url, VLLM, 5) is None
    assert read_counters("http://127.0.0.1:9", VLLM, 0.2) is None


def test_health_is_its_status_or_what_went_wrong() -> None:
    for status, expected in ((200, None), (503, "503"), (204, "204")):
        with scripted(do_GET=getting(b"", status)) as url:
            assert ask_health(f"{url}/health", 5) == expected
    assert ask_health("http://127.0.0.1:9/health", 0.2) == "ConnectError"


def choice(text: Any, *scores: float, reason: str | None = "stop") -> bytes:
    content = [{"token": "x", "logprob": score} for score in scores]
    message = {"message": {"content": text}, "finish_reason": reason, "logprobs": {"content": content}}
    return json.dumps({"choices": [message]}).encode()


@pytest.mark.parametrize(
    ("body", "drift"),
    [
        (choice("Tokyo", -0.1), None),
        (choice("The capital is TOKYO."), None),
        (choice("!!!!!!!!!!"), "one character again and again: '!!!!!!!!!!'"),
        (choice("Tokyo", float("nan")), "a log probability that is no finite number"),
        (choice("Paris"), "the answer does not say 'tokyo': 'Paris'"),
        (choice(None), "the answer does not say 'tokyo': ''"),
        (b'{"choices": [{"message": {"content": "Tokyo"}, "logprobs": null}]}', None),
    ],
)
def test_an_odd_answer_is_told_and_no_loss(body: bytes, drift: str | None) -> None:
    with scripted(body=body) as url:
        canary = ask_canary(url, "m", 5)
    assert (canary.failure, canary.drift) == (None, drift)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ({"status": 500, "body": b"boom"}, "status 500: boom"),
        ({"body": b"<html>"}, "an answer without choices: <html>"),
        ({"body": b'{"choices": []}'}, "an answer without choices"),
        ({"body": b"[]"}, "an answer without choices"),
        ({"body": b'{"choices": [{"message": null}]}'}, "an answer without choices"),
        ({"body": choice("", reason=None)}, "an empty answer"),
        ({"do_POST": lambda handler: None}, "RemoteProtocolError after 5 s"),
        ({"status": 429, "body": b"later"}, None),
    ],
)
def test_no_token_is_a_failure_and_being_busy_none(answer: Any, failure: str | None) -> None:
    with scripted(**answer) as url:
        canary = ask_canary(url, "m", 5)
    assert canary.failure == failure or (failure is not None and str(canary.failure).startswith(failure))
