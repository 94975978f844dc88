"""Whatever a server calls its metrics, the gateway tells them under one name."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.support.upstream import CHAT, Gateway, Upstream, ready
from tests.support.waiting import wait_until
from trtnemo.endpoint import summed_metrics
from trtnemo.gateway.uniform import samples_of, translated
from trtnemo.launch.servers.registry import all_servers

VLLM = """
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_running{engine="1",model_name="m"} 3.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
vllm:spec_decode_num_drafts_total{engine="0"} 10.0
vllm:spec_decode_num_accepted_tokens_total{engine="0"} 25.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.1"} 2.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf"} 4.0
vllm:time_to_first_token_seconds_count{engine="0"} 4.0
vllm:time_to_first_token_seconds_sum{engine="0"} 9.0
vllm:iteration_tokens_total_count{engine="0"} 7.0
"""
SGLANG = "sglang:num_running_reqs 4.0\nsglang:mamba_usage 0.5\nsglang:spec_accept_length 2.5\n"
SGLANG_TWICE = """
sglang:mamba_usage{tp_rank="0"} 0.5
sglang:mamba_usage{tp_rank="1"} 0.4
sglang:spec_accept_length{tp_rank="0"} 2.5
sglang:spec_accept_length{tp_rank="1"} 2.0
"""
TRTLLM = 'trtllm_e2e_request_latency_seconds_sum{model_name="undefined"} 8.0\ntrtllm_num_requests_waiting 1.0\n'
DYNAMO = "dynamo_frontend_inflight_requests 6.0\ndynamo_frontend_output_tokens_total 60.0\n"


def told(text: str) -> dict[tuple[str, str], float]:
    return {(name, labels.get("le", "")): value for name, labels, value in translated(samples_of(text))}


def test_engines_of_one_server_are_summed_and_shares_are_not() -> None:
    found = told(VLLM)
    assert found["trtnemo_upstream_requests_running", ""] == 5.0
    assert found["trtnemo_upstream_kv_used_share", ""] == 0.75
    assert found["trtnemo_upstream_time_to_first_token_seconds_bucket", "0.1"] == 3.0
    assert found["trtnemo_upstream_time_to_first_token_seconds_sum", ""] == 9.0
    assert found["trtnemo_upstream_acceptance_length", ""] == 3.5
    assert found["trtnemo_upstream_steps_total", ""] == 7.0


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        (SGLANG, "requests_running", 4.0),
        (SGLANG, "mamba_state_share", 0.5),
        (SGLANG, "acceptance_length", 2.5),
        (SGLANG_TWICE, "mamba_state_share", 0.5),
        (SGLANG_TWICE, "acceptance_length", 2.5),
        (TRTLLM, "request_seconds_sum", 8.0),
        (TRTLLM, "requests_waiting", 1.0),
        (DYNAMO, "requests_running", 6.0),
        (DYNAMO, "generated_tokens_total", 60.0),
    ],
)
def test_each_server_is_told_by_its_own_names(text: str, name: str, value: float) -> None:
    assert told(text)[f"trtnemo_upstream_{name}", ""] == value


def test_every_name_is_one_of_the_uniform_ones() -> None:
    known = {name for server in all_servers().values() for name in server.metrics}
    assert len(known) == 18
    assert all(server.metrics["requests_running"] for server in all_servers().values())


def test_nothing_is_told_of_strange_metrics() -> None:
    assert told("x_total 1\ny 2\n") == {}


def test_a_server_whose_metrics_are_a_page_has_none(gateway: Gateway) -> None:
    with Upstream(pages={"/metrics": b"<html><b>{}</b></html>"}).serving as base:
        _, url = gateway(base)
        found = httpx.get(f"{url}/metrics")
    assert (found.status_code, "trtnemo_upstream_" in found.text) == (200, False)


@pytest.mark.parametrize("path", ["/metrics", "/prometheus/metrics"])
def test_metrics_of_the_servers_stand_beside_the_gateways_own(gateway: Gateway, path: str) -> None:
    upstream = Upstream(pages={path: VLLM.encode()})
    with upstream.serving as base:
        _, url = gateway(base)
        wait_until(lambda: ready(url))
        text = httpx.get(f"{url}/metrics").text
    assert f'trtnemo_upstream_requests_running{{upstream="{base}"}} 5.0' in text
    assert summed_metrics(text)["trtnemo_upstream_time_to_first_token_seconds_count"] == 4.0
    assert "trtnemo_gateway_upstream_ready" in text


def test_statistics_that_a_read_takes_away_are_not_read(gateway: Gateway) -> None:
    """TensorRT-LLM's /metrics is JSON, and empty after somebody has read it."""
    upstream = Upstream(pages={"/metrics": b"[]"}, owner="tensorrt_llm")
    with upstream.serving as base:
        _, url = gateway(base)
        wait_until(lambda: ready(url))
        assert "trtnemo_upstream_" not in httpx.get(f"{url}/metrics").text
    assert upstream.read == ["/prometheus/metrics"]


def test_our_own_server_is_told_like_the_others(gateway: Gateway, tiny_url: str) -> None:
    _, url = gateway(tiny_url)
    wait_until(lambda: ready(url))
    httpx.post(f"{url}/v1/chat/completions", json=CHAT, timeout=60)
    sums = summed_metrics(httpx.get(f"{url}/metrics").text)
    theirs = summed_metrics(httpx.get(f"{tiny_url}/metrics").text)
    assert sums["trtnemo_upstream_generated_tokens_total"] == theirs["trtnemo_generated_tokens_total"] > 0
    assert sums["trtnemo_upstream_request_seconds_count"] == theirs["trtnemo_request_seconds_count"]


def test_the_names_are_those_that_were_read_in_the_servers() -> None:
    """The table that was made of the wheels and sources stands in tests/data, as it was given."""
    path = Path(__file__).parent / "metrics.json"
    table = json.loads(path.read_text(encoding="utf-8"))["metrics"]
    for server, found in all_servers().items():
        for uniform, own in found.metrics.items():
            name = uniform.removesuffix("_total").removesuffix("_seconds")
            given = next(table[key] for key in (uniform, name, _OTHERWISE.get(name, name)) if key in table)[server]
            given = given["name"] if isinstance(given, dict) else given
            assert str(given).partition(" ")[0].removesuffix("_count") == own.removesuffix("_count"), (server, uniform)


_OTHERWISE = {"steps": "step_heartbeat"}
