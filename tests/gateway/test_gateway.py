"""Requests go to servers that are ready, byte for byte, and clients are told what becomes of them."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.upstream import CHAT, TOKEN, Gateway, Upstream, ready, streaming
from tests.support.waiting import wait_until


def test_our_own_server_says_through_it_what_it_says_alone(gateway: Gateway, tiny_url: str) -> None:
    _, url = gateway(tiny_url)
    wait_until(lambda: ready(url))
    alone, through = (
        httpx.post(f"{base}/v1/chat/completions", json=CHAT, timeout=60).json() for base in (tiny_url, url)
    )
    assert through["choices"] == alone["choices"]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="EMPTY", max_retries=0) as client:
        assert client.models.list().data[0].id == "tiny"
        ask: Any = {**CHAT, "model": "tiny"}
        pieces = [chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(stream=True, **ask)]
        assert "".join(pieces) == (alone["choices"][0]["message"]["content"] or "")
        with pytest.raises(openai.NotFoundError, match="'gpt' does not exist"):
            client.chat.completions.create(**{**ask, "model": "gpt"})
    metrics = httpx.get(f"{url}/metrics").text
    assert f'trtnemo_gateway_requests_total{{status="404",upstream="{tiny_url}"}} 1.0' in metrics
    assert f'trtnemo_gateway_upstream_ready{{upstream="{tiny_url}"}} 1.0' in metrics


def test_bodies_and_answers_pass_untouched_and_keys_do_not(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("alice: key-of-alice\n")
    keys.chmod(0o600)
    monkeypatch.setenv("THEIR_KEY", "key-of-theirs")
    odd = b'{ "x":1,"unknown": [null], "chat_template_kwargs":{"enable_thinking":false},"x":2}'
    answer = b'{"choices":[{"message":{"content":null,"reasoning_content":"r"}}],  "usage":{"x":{}}}'
    upstream = Upstream(answer=lambda handler, body: handler._answer(200, answer, {"X-Odd": "kept"}))
    with upstream.serving as base:
        _, url = gateway(base, options=("--api-key-file", str(keys), "--upstream-key", "THEIR_KEY"))
        wait_until(lambda: ready(url))
        assert httpx.post(f"{url}/v1/chat/completions", content=odd).status_code == 401
        headers = {"authorization": "Bearer key-of-alice", "content-type": "application/json", "x-mine": "1"}
        found = httpx.post(f"{url}/any/path?a=b%20c&a=d", content=odd, headers={**headers, "x-request-id": "r-1"})
    assert (found.content, found.headers["x-odd"], found.headers["x-request-id"]) == (answer, "kept", "r-1")
    ((path, sent, body),) = upstream.asked
    assert (path, body) == ("/any/path?a=b%20c&a=d", odd)
    assert (sent["authorization"], sent["x-mine"], sent["x-request-id"]) == ("Bearer key-of-theirs", "1", "r-1")
    assert "alice" not in str(sent)


def test_pieces_come_as_they_are_said(gateway: Gateway) -> None:
    upstream = Upstream(answer=streaming(b"data: one\n\n", b"data: t", b"wo\n\ndata: [DONE]\n\n"))
    with upstream.serving as base:
        _, url = gateway(base)
        wait_until(lambda: ready(url))
        with httpx.stream("POST", f"{url}/v1/x", json=CHAT) as response:
            pieces = list(response.iter_raw())
    assert pieces == [b"data: one\n\n", b"data: t", b"wo\n\ndata: [DONE]\n\n"]


def test_a_server_that_is_lost_amid_a_stream_is_an_event_and_no_done(gateway: Gateway) -> None:
    upstream = Upstream(answer=streaming(b'data: {"choices": []}\n\n', ends=False))
    with upstream.serving as base:
        _, url = gateway(base)
        wait_until(lambda: ready(url))
        found = httpx.post(f"{url}/v1/x", json=CHAT)
        wait_until(lambda: ready(url))  # it is looked at again
        metrics = httpx.get(f"{url}/metrics").text
    assert found.status_code == 200
    last = found.text.strip().splitlines()[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == "the server was lost amid its answer"
    assert "[DONE]" not in found.text
    assert "trtnemo_gateway_stream_failures_total 1.0" in metrics


def test_a_whole_answer_that_is_cut_off_is_no_answer(gateway: Gateway) -> None:
    def short(handler: Any, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    with Upstream(answer=short).serving as base:
        process, url = gateway(base)
        wait_until(lambda: ready(url))
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{url}/v1/x", json=CHAT)
        process.terminate()
        assert "Traceback" not in process.communicate(timeout=30)[1]


def hangs_up(handler: Any, body: bytes) -> None:
    handler.close_connection = True


def test_another_server_takes_what_one_has_not_begun_to_answer(gateway: Gateway) -> None:
    first, second = Upstream(answer=hangs_up), Upstream()
    with first.serving as base, second.serving as base_2:
        _, url = gateway(base, base_2, health_seconds=30)
        wait_until(lambda: httpx.get(f"{url}/metrics").text.count('"} 1.0') == 2)
        assert [httpx.post(f"{url}/v1/x", json=CHAT).status_code for _ in range(3)] == [200] * 3
        assert len(first.asked) == 2  # twice by the first request, and not again until it is seen to be well
        assert len(second.asked) == 3


def test_a_server_that_says_503_is_not_asked_again_until_it_is_well(gateway: Gateway) -> None:
    first, second = Upstream(answer=lambda handler, body: handler._answer(503, b"loading", {})), Upstream()
    with first.serving as base, second.serving as base_2:
        _, url = gateway(base, base_2, health_seconds=30)
        wait_until(lambda: httpx.get(f"{url}/metrics").text.count('"} 1.0') == 2)
        assert [httpx.post(f"{url}/v1/x", json=CHAT).status_code for _ in range(4)] == [503, 200, 200, 200]


def test_the_one_with_the_fewest_requests_is_asked(gateway: Gateway) -> None:
    may_end = threading.Event()

    def wait(handler: Any, body: bytes) -> None:
        may_end.wait(20)
        handler._answer(200, b"{}", {})

    servers = [Upstream(answer=wait), Upstream(answer=wait)]
    with servers[0].serving as base, servers[1].serving as base_2:
        _, url = gateway(base, base_2)
        wait_until(lambda: httpx.get(f"{url}/metrics").text.count("_ready{") == 2 and ready(url))
        time.sleep(0.5)
        threads = [threading.Thread(target=httpx.post, args=(f"{url}/v1/x",), kwargs={"json": CHAT}) for _ in range(6)]
        for thread in threads:
            thread.start()
            time.sleep(0.1)
        wait_until(lambda: sum(len(server.asked) for server in servers) == 6)
        assert [len(server.asked) for server in servers] == [3, 3]
        may_end.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"health": 503}, "its health says 503"),
        ({"token": None}, "a question got no token, but 500"),
        ({"token": b"<html>"}, "what it answers is not the OpenAI API"),
        ({"token": b"[]"}, "what it answers is not the OpenAI API"),
    ],
)
def test_without_a_ready_server_clients_are_told_when_to_come_again(
    gateway: Gateway, changes: Any, reason: str
) -> None:
    upstream = Upstream(**changes)
    with upstream.serving as base:
        _, url = gateway(base, "http://127.0.0.1:9")
        wait_until(lambda: reason in httpx.get(f"{url}/ready").text)
        assert httpx.get(f"{url}/health").json() == {"status": "ok"}
        refused = httpx.post(f"{url}/v1/chat/completions", json=CHAT)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        told = refused.json()["error"]
        assert told["code"] == "upstream_unavailable"
        assert reason in told["message"]
        assert "http://127.0.0.1:9: it does not answer (ConnectError)" in told["message"]
        assert upstream.asked == []
        upstream.health, upstream.token = 200, TOKEN
        wait_until(lambda: ready(url))


def test_who_leaves_is_no_longer_answered(gateway: Gateway) -> None:
    is_gone = threading.Event()

    def endless(handler: Any, body: bytes) -> None:
        try:
            streaming(*[b"data: x\n\n"] * 400)(handler, body)
        except OSError:
            is_gone.set()

    with Upstream(answer=endless).serving as base:
        _, url = gateway(base)
        wait_until(lambda: ready(url))
        with httpx.stream("POST", f"{url}/v1/x", json=CHAT) as response:
            next(response.iter_raw())
        assert is_gone.wait(10)
        wait_until(lambda: f'outstanding{{upstream="{base}"}} 0.0' in httpx.get(f"{url}/metrics").text)


def test_bounds_of_requests_bodies_and_times_are_told(gateway: Gateway) -> None:
    may_end = threading.Event()
    silent = Upstream(answer=lambda handler, body: may_end.wait(20))
    with silent.serving as base:
        _, url = gateway(base, most_requests=1, largest_body=100, first_byte_seconds=1)
        wait_until(lambda: ready(url))
        assert httpx.post(f"{url}/v1/x", content=b" " * 101).status_code == 413
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(httpx.post(f"{url}/v1/x", json={}, timeout=30)))
        thread.start()
        wait_until(lambda: silent.asked)
        refused = httpx.post(f"{url}/v1/x", json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        thread.join()
        may_end.set()
    assert answers[0].status_code == 504
    assert answers[0].json()["error"]["code"] == "upstream_timeout"


def test_a_stream_that_falls_silent_is_ended_with_an_event(gateway: Gateway) -> None:
    may_end = threading.Event()

    def falls_silent(handler: Any, body: bytes) -> None:
        streaming(b"data: x\n\n", ends=False)(handler, body)
        handler.wfile.flush()
        may_end.wait(60)

    with Upstream(answer=falls_silent).serving as base:
        _, url = gateway(base, silence_seconds=1)
        wait_until(lambda: ready(url))
        try:
            found = httpx.post(f"{url}/v1/x", json={}, timeout=10)  # long before the server would end it
        finally:
            may_end.set()
    assert "the server was lost amid its answer" in found.text


def test_what_runs_when_it_stops_has_its_time_and_is_told_then(gateway: Gateway) -> None:
    with Upstream(answer=streaming(*[b"data: x\n\n"] * 400)).serving as base:
        process, url = gateway(base, drain_seconds=0.5)
        wait_until(lambda: ready(url))
        with httpx.stream("POST", f"{url}/v1/x", json=CHAT) as response:
            lines = response.iter_lines()
            next(lines)
            process.send_signal(signal.SIGTERM)
            last = [line for line in lines if line][-1]
        assert "the gateway is stopping" in json.loads(last.removeprefix("data: "))["error"]["message"]
        assert process.wait(30) == 0
        assert "Traceback" not in (process.stderr.read() if process.stderr else "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "Missing option '--upstream'"),
        (["--upstream", "localhost:8000"], "is no address of a server"),
        (["--upstream", "http://a", "--upstream", "http://a/v1"], "an upstream is given twice"),
        (["--upstream", "http://a", "--set", "most_request=3"], "did you mean 'most_requests'?"),
        (["--upstream", "http://a", "--set", "most_requests=0"], "'most_requests' must be greater than or equal to 1"),
        (["--upstream", "http://a", "--set", "most_requests"], "--set takes KEY=VALUE"),
        (["--upstream", "http://a", "--set", "port=[1"], "is no value"),
        (["--upstream", "http://a", "--set", "step_seconds=9"], "is for our own server"),
        (["--upstream", "http://a", "--upstream-key", "NO_SUCH"], "the variable NO_SUCH is not set"),
        (["--upstream", "http://a", "--host", "0.0.0.0"], "without keys would let anybody use this server"),  # noqa: S104
    ],
)
def test_what_cannot_be_kept_is_told_before_it_listens(words: list[str], told: str) -> None:
    from tests.support.commands import trtnemo_here

    result = trtnemo_here("gateway", *words)
    assert result.returncode == 2
    assert told in result.stderr
