"""Routes over an engine that breaks, fills up or is slow: what each client is told, and what the next one finds."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.speaker import HTTP, TOKENIZER, Speaker, context_over, serving, speaking
from tests.support.waiting import wait_until
from trtnemo import __version__
from trtnemo.errors import BusyError, RequestError
from trtnemo.formats.registry import tool_formats
from trtnemo.runtime import LoopOptions
from trtnemo.server.admission import Admission

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
MESSAGES = [{"role": "user", "content": "Hi"}]
BODIES: dict[str, dict[str, Any]] = {
    TEXT: {"model": "speaker", "prompt": "Hi"},
    CHAT: {"model": "speaker", "messages": MESSAGES},
}


def events(response: Any) -> Any:
    """Return the data of server-sent events."""
    lines = [line for line in response.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert response.headers["content-type"].startswith("text/event-stream")
    return [line.removeprefix("data: ") for line in lines]


@pytest.mark.parametrize("path", BODIES)
def test_an_engine_that_breaks_is_told_whole_and_in_a_stream(path: Any) -> None:
    """And its places are given back: three of two places break, and the next is still answered as the first."""
    with context_over(Speaker("one two three four", breaks_after=3), 2) as context, serving(context) as url:
        for _ in range(3):
            whole = HTTP.post(url + path, json=BODIES[path])
            assert whole.status_code == 500
            error = whole.json()["error"]
            assert (error["type"], error["code"]) == ("server_error", "engine_error")
            assert "the machine caught fire" in error["message"]
        for _ in range(3):
            stream = HTTP.post(url + path, json={**BODIES[path], "stream": True})
            assert stream.status_code == 200
            *chunks, failed, end = events(stream)
            assert end == "[DONE]"
            assert len(chunks) >= 3
            error = json.loads(failed)["error"]
            assert (error["type"], error["code"]) == ("server_error", None)
            assert "the machine caught fire" in error["message"]
        wait_until(lambda: context.admission.taken == 0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_is_refused_takes_no_place(stream: bool) -> None:
    with context_over(Speaker("x"), 1) as context, serving(context) as url:
        for _ in range(2):
            refused = HTTP.post(url + TEXT, json={**BODIES[TEXT], "prompt": "", "stream": stream})
            assert refused.status_code == 400
        assert HTTP.post(url + TEXT, json=BODIES[TEXT]).status_code == 200


class Slow:
    """A template, or a tokenizer, that waits."""

    variables = frozenset[str]()

    def __init__(self) -> None:
        self.asked, self.may_go_on = threading.Event(), threading.Event()

    def render(self, *_: Any, **__: Any) -> Any:
        self.asked.set()
        self.may_go_on.wait(30)
        return "text"

    def encode_prompt(self, text: Any) -> Any:
        self.render()
        return TOKENIZER.encode(text)

    def __getattr__(self, name: Any) -> Any:
        return getattr(TOKENIZER, name)


@pytest.mark.parametrize(
    ("part", "path", "body"),
    [
        ("chat_template", CHAT, BODIES[CHAT]),
        ("chat_template", "/tokenize", {"messages": MESSAGES}),
        ("tokenizer", TEXT, BODIES[TEXT]),
    ],
)
def test_health_answers_while_a_prompt_is_slowly_made(part: str, path: Any, body: Any) -> None:
    slow = Slow()
    changes: dict[str, Any] = {part: slow}
    with context_over(Speaker("x"), **changes) as context, serving(context) as url, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(HTTP.post, url + path, json=body, timeout=30)
        try:
            assert slow.asked.wait(10)
            assert HTTP.get(f"{url}/health", timeout=5).json() == {"status": "ok"}
        finally:
            slow.may_go_on.set()
        assert asked.result().status_code == 200


@pytest.mark.parametrize(("part", "path"), [("chat_template", CHAT), ("tokenizer", TEXT)])
def test_no_prompt_is_made_for_a_request_that_has_no_place(part: str, path: Any) -> None:
    slow, speaker = Slow(), Speaker("one two")
    speaker.may_go_on.clear()
    with context_over(speaker, 1) as context, serving(context) as url, ThreadPoolExecutor(1) as pool:
        first = pool.submit(HTTP.post, url + TEXT, json=BODIES[TEXT], timeout=30)
        wait_until(lambda: context.admission.taken == 1)
        object.__setattr__(context, part, slow)
        second = HTTP.post(url + path, json=BODIES[path], timeout=5)
        assert second.status_code == 429
        assert second.json()["error"]["code"] == "rate_limit_exceeded"
        assert not slow.asked.is_set()
        object.__setattr__(context, part, TOKENIZER)
        speaker.may_go_on.set()
        assert first.result().status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_request(stream: bool) -> None:
    speaker = Speaker("one two " * 300, max_seq_len=4096, slow_after=5)
    with context_over(speaker, 1) as context, serving(context) as url:
        body = {**BODIES[TEXT], "max_tokens": 1000, "stream": stream}
        speaker.may_go_on.clear()
        with pytest.raises(httpx.ReadTimeout):
            HTTP.post(url + TEXT, json=body, timeout=0.3)
        wait_until(lambda: context.admission.taken == 0)
        speaker.may_go_on.set()
        wait_until(lambda: context.client.statistics.running == 0)
        assert context.client.statistics.generated_tokens < 300


def test_a_defect_of_ours_is_told_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def render(self, *_: Any) -> None:
            raise ValueError("a secret of the server")

    with speaking("x", chat_template=Broken()) as url:
        found = HTTP.post(url + CHAT, json=BODIES[CHAT])
        assert found.status_code == 500
        error = found.json()["error"]
        assert (error["type"], error["code"]) == ("server_error", "internal_error")
        assert "secret" not in found.text
        assert HTTP.get(f"{url}/health").status_code == 200


def test_what_the_server_says_of_itself() -> None:
    with context_over(Speaker("x", max_seq_len=300)) as context, serving(context) as url:
        models = HTTP.get(f"{url}/v1/models").json()
        common = {"object": "model", "created": 1_700_000_000, "owned_by": "trtnemo", "max_model_len": 300}
        names = [{"id": "speaker", **common}, {"id": "its-other-name", **common}]
        assert models == {"object": "list", "data": names}
        version = HTTP.get(f"{url}/version").json()
        assert (version["software"], version["recipe"]) == ("trtnemo", "speaker")
        assert version["version"] == __version__
        metrics = HTTP.get(f"{url}/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_tokenize_takes_a_text_or_messages_with_tools() -> None:
    tool = {"type": "function", "function": {"name": "look_around"}}
    with speaking("x") as url:

        def ask(status: Any = 200, **body: Any) -> Any:
            found = HTTP.post(f"{url}/tokenize", json=body)
            assert found.status_code == status, found.text
            return found.json()

        plain = ask(prompt="Hi there")
        assert plain == {"count": 2, "max_model_len": 512, "tokens": TOKENIZER.encode("Hi there")} | {
            "count": len(plain["tokens"])
        }
        assert ask(prompt="")["tokens"] == []
        told = [ask(messages=MESSAGES, **more)["tokens"] for more in ({}, {"tools": [tool]})]
        assert ["look_around" in TOKENIZER.decode(tokens) for tokens in told] == [False, True]
        off = ask(messages=MESSAGES, chat_template_kwargs={"enable_thinking": False})["tokens"]
        assert TOKENIZER.decode(off).endswith("<think></think>")
        assert ask(400, prompt="a", messages=MESSAGES)["error"]["param"] == "prompt"
        assert "two tools" in ask(400, messages=MESSAGES, tools=[tool, tool])["error"]["message"]
        assert ask(404, model="gpt", prompt="a")["error"]["param"] == "model"
        assert ask(model="its-other-name", prompt="a")["count"] == 1


def test_detokenize_keeps_special_tokens_up_to_the_vocabularys_last() -> None:
    with speaking("x") as url:
        found = HTTP.post(f"{url}/detokenize", json={"tokens": [1, 11, 2047]})
        assert found.json()["prompt"] == TOKENIZER.decode([1, 11, 2047], skip_special_tokens=False)
        assert found.json()["prompt"].startswith("<s><|im_end|>")
        assert HTTP.post(f"{url}/detokenize", json={"tokens": [2048]}).status_code == 400
        assert HTTP.post(f"{url}/detokenize", json={"model": "gpt", "tokens": []}).status_code == 404


def value(url: Any, name: Any) -> Any:
    lines = HTTP.get(f"{url}/metrics").text.splitlines()
    return float(next((line for line in lines if line.startswith(f"{name} ")), "none 0").split()[1])


@pytest.mark.parametrize("path", BODIES)
def test_times_are_observed_once_a_request(path: Any) -> None:
    """Of two choices too, whole and streamed."""
    with speaking("one two three four") as url:
        changes: tuple[dict[str, Any], ...] = ({"stream": True}, {"n": 2}, {"n": 2, "stream": True})
        choices = 0
        for more in changes:
            assert HTTP.post(url + path, json={**BODIES[path], **more}).status_code == 200
            choices += more.get("n", 1)
            for name in ("time_to_first_token", "queue", "prefill", "decode"):
                assert value(url, f"trtnemo_{name}_seconds_count") == choices
            assert value(url, 'trtnemo_request_seconds_count{finish_reason="stop"}') == choices
        queue, prefill, first = (
            value(url, f"trtnemo_{name}_seconds_sum") for name in ("queue", "prefill", "time_to_first_token")
        )
        assert 0 < first <= value(url, 'trtnemo_request_seconds_sum{finish_reason="stop"}')
        assert queue + prefill == pytest.approx(first, abs=1e-3)
        assert value(url, 'trtnemo_finished_total{finish_reason="stop"}') == choices


def test_a_request_without_a_token_has_no_time_to_its_first() -> None:
    with speaking("one") as url:
        body = {**BODIES[TEXT], "max_tokens": 0, "echo": True}
        assert HTTP.post(url + TEXT, json=body).json()["choices"][0]["text"] == "Hi"
        assert value(url, "trtnemo_time_to_first_token_seconds_count") == 0
        assert value(url, 'trtnemo_request_seconds_count{finish_reason="stop"}') == 0
        assert value(url, 'trtnemo_request_seconds_count{finish_reason="length"}') == 1


def test_a_stop_string_ends_the_engines_work_too() -> None:
    speaker = Speaker("one two three four five six", max_seq_len=4096, slow_after=5)
    with context_over(speaker) as context, serving(context) as url:
        body = {**BODIES[TEXT], "stop": " two", "max_tokens": 1000, "ignore_eos": True}
        choice = HTTP.post(url + TEXT, json=body).json()["choices"][0]
        assert (choice["text"], choice["finish_reason"]) == ("one", "stop")
        wait_until(lambda: context.client.statistics.running == 0)
        assert context.client.statistics.generated_tokens < 500


def test_a_choice_that_hit_its_stop_string_ends_before_the_others() -> None:
    speaker = Speaker("one two", others="three " * 200, max_seq_len=4096, slow_after=5)
    with context_over(speaker) as context, serving(context) as url:
        body = {**BODIES[TEXT], "n": 2, "stop": " two", "max_tokens": 300, "ignore_eos": True}
        first, second = HTTP.post(url + TEXT, json=body).json()["choices"]
        assert (first["text"], first["finish_reason"], second["finish_reason"]) == ("one", "stop", "length")
        assert context.client.statistics.generated_tokens < 500


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True])
def test_usage_says_what_of_a_prompt_was_known(path: Any, stream: bool) -> None:
    text = "word " * 150 + "<|im_end|>next"
    body = {"model": "speaker", "prompt": text, "messages": [{"role": "user", "content": text}], "stream": stream}
    body.pop("messages" if path == TEXT else "prompt")
    body |= {"stream_options": {"include_usage": True}} if stream else {}
    with context_over(Speaker("fine"), options=LoopOptions(prefix_bytes=1000)) as context, serving(context) as url:
        found = []
        for _ in range(2):
            answer = HTTP.post(url + path, json=body)
            found.append(json.loads(events(answer)[-2])["usage"] if stream else answer.json()["usage"])
        assert "prompt_tokens_details" not in found[0]
        cached = found[1]["prompt_tokens_details"]["cached_tokens"]
        assert 64 <= cached == context.client.statistics.cached_tokens < found[1]["prompt_tokens"]


def test_tools_stay_text_where_the_recipe_reads_none() -> None:
    assert tool_formats()
    with speaking("<tool_call>\n<function=f>\n</function>\n</tool_call>", tools=None) as url:
        body = {**BODIES[CHAT], "tools": [{"type": "function", "function": {"name": "f"}}]}
        body["chat_template_kwargs"] = {"enable_thinking": False}
        message = HTTP.post(url + CHAT, json=body).json()["choices"][0]["message"]
        assert message["content"].startswith("<tool_call>")
        assert "tool_calls" not in message


def test_places_are_given_back_once() -> None:
    admission = Admission(3)
    first, second = admission.take(2), admission.take(1)
    for _ in range(2):
        first.give_back()
    assert admission.taken == 1
    with pytest.raises(BusyError, match="1 requests run or wait already"):
        admission.take(3)
    with pytest.raises(RequestError, match="4 choices at once; this server holds 3"):
        admission.take(4)
    second.give_back()
    assert (admission.take(3)._count, admission.taken) == (3, 3)
    assert Admission(None).take(10_000)


def test_a_method_that_is_not_there_is_told_with_those_that_are() -> None:
    with speaking("x") as url:
        for path, methods in (("/v1/responses/resp_1", "DELETE, GET"), ("/v1/completions", "POST"), ("/health", "GET")):
            refused = HTTP.options(f"{url}{path}")
            assert (refused.status_code, refused.headers["allow"]) == (405, methods)
