"""A server around its answers: metrics, tokens, clients that leave, many at once, how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from typing import Any

import httpx
import pytest

from tests.support.waiting import wait_until

QUESTION = [{"role": "user", "content": "What is the capital of Japan?"}]


MODEL = "nvidia/nemotron-3-super"


def test_models_health_and_metrics(client: Any, tiny_url: Any) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "nvidia/nemotron-3-super"]
    assert httpx.get(f"{tiny_url}/health").json() == {"status": "ok"}
    before = metric(tiny_url, "trtnemo_generated_tokens_total")
    client.completions.create(
        model="tiny", prompt="Hello", max_tokens=7, temperature=0, extra_body={"ignore_eos": True}
    )
    assert metric(tiny_url, "trtnemo_generated_tokens_total") == before + 7
    httpx.get(f"{tiny_url}/no/such/path")
    httpx.get(f"{tiny_url}/v1/responses/resp_of_nobody")
    counts = [line for line in httpx.get(f"{tiny_url}/metrics").text.splitlines() if "requests_total{" in line]
    assert any('endpoint="/v1/completions",status="200"' in line for line in counts)
    assert any('endpoint="unknown",status="404"' in line for line in counts)
    assert any('endpoint="/v1/responses/{response_id}",status="404"' in line for line in counts)
    assert not any("/no/such/path" in line or "resp_of_nobody" in line for line in counts)


def metric(url: Any, name: Any) -> Any:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def test_tokenize_and_detokenize_are_inverse(tiny_url: Any) -> None:
    text = "Grüße, 日本!"
    tokens = httpx.post(f"{tiny_url}/tokenize", json={"prompt": text}).json()
    assert tokens["count"] == len(tokens["tokens"])
    assert httpx.post(f"{tiny_url}/detokenize", json={"tokens": tokens["tokens"]}).json() == {"prompt": text}
    chat = httpx.post(f"{tiny_url}/tokenize", json={"messages": QUESTION}).json()["tokens"]
    assert chat[0] == 10
    assert 1 not in chat


def test_a_client_that_leaves_frees_its_slot(tiny_url: Any) -> None:
    body = {"model": "tiny", "prompt": "Hello", "max_tokens": 30000, "ignore_eos": True, "stream": True}
    with httpx.stream("POST", f"{tiny_url}/v1/completions", json=body, timeout=30) as response:
        lines = response.iter_lines()  # a generator that is dropped closes the connection
        next(lines)
        assert metric(tiny_url, "trtnemo_running_requests") >= 1
    wait_until(lambda: metric(tiny_url, "trtnemo_running_requests") == 0)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{tiny_url}/v1/completions", json={**body, "stream": False}, timeout=0.5)
    wait_until(lambda: metric(tiny_url, "trtnemo_running_requests") == 0)


def test_many_clients_at_once_get_what_each_gets_alone(client: Any) -> None:
    questions = [f"What is the capital of {country}?" for country in ("Japan", "Italy", "Peru", "Kenya")] * 4
    answers = [""] * len(questions)

    def ask(place: Any) -> None:
        messages = [{"role": "user", "content": questions[place]}]
        answer = client.chat.completions.create(
            model="tiny",
            messages=messages,
            temperature=0,
            extra_body={"chat_template_kwargs": {"enable_thinking": place % 2 == 0}},
        )
        answers[place] = answer.choices[0].message.content

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (
        answers
        == [
            f"The capital of {c} is {t}."
            for c, t in (("Japan", "Tokyo"), ("Italy", "Rome"), ("Peru", "Lima"), ("Kenya", "Nairobi"))
        ]
        * 4
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_0(tiny_engine: Any, server_process: Any, number: Any) -> None:
    process, url = server_process(tiny_engine)
    received = []

    def ask() -> None:
        body = {"model": "tiny", "prompt": "Hello", "max_tokens": 3_000, "ignore_eos": True, "temperature": 0}
        received.append(httpx.post(f"{url}/v1/completions", json=body, timeout=60))

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: metric(url, "trtnemo_running_requests") == 1)
    process.send_signal(number)
    thread.join()
    assert received[0].json()["usage"]["completion_tokens"] == 3_000
    assert process.wait(timeout=30) == 0
    assert process.stderr.read() == (
        "Stopping: 1 request still running, for 30 seconds at most. A second signal stops at once.\n"
    )


LONG = {"model": "tiny", "prompt": "Hello", "max_tokens": 30_000, "ignore_eos": True}


@pytest.mark.parametrize("stream", [False, True])
def test_what_runs_too_long_while_a_server_stops_is_told_so(
    tiny_engine: Any, server_process: Any, stream: bool
) -> None:
    process, url = server_process(tiny_engine, "--set", "server.drain_seconds=0.3")
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{url}/v1/completions", json={**LONG, "stream": stream}, timeout=60))
    )
    thread.start()
    wait_until(lambda: metric(url, "trtnemo_running_requests") == 1)
    process.send_signal(signal.SIGTERM)
    thread.join()
    assert process.wait(timeout=30) == 0
    told = "the server is stopping, and this request took too long"
    if stream:
        assert answers[0].status_code == 200
        last = answers[0].text.rstrip().splitlines()[-3]
        assert told in json.loads(last.removeprefix("data: "))["error"]["message"]
        assert answers[0].text.endswith("data: [DONE]\n\n")
    else:
        assert answers[0].status_code == 503
        assert told in answers[0].json()["error"]["message"]


def test_a_second_signal_stops_at_once(tiny_engine: Any, server_process: Any) -> None:
    process, url = server_process(tiny_engine)
    with httpx.stream("POST", f"{url}/v1/completions", json={**LONG, "stream": True}, timeout=60) as response:
        lines = response.iter_lines()  # a generator that is dropped closes the connection
        next(lines)
        process.send_signal(signal.SIGTERM)
        assert "A second signal" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)  # the first alone would let it run for 30 seconds
        assert process.stderr.read() == ""


def test_a_port_in_use_is_told_before_weights_are_loaded(tiny_engine: Any, tiny_url: Any) -> None:
    import sys

    port = tiny_url.rpartition(":")[2]
    command = [sys.executable, "-m", "trtnemo", "serve", "--engine", str(tiny_engine), "--port", port]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 7
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert json.loads(httpx.get(f"{tiny_url}/health").text)["status"] == "ok"
