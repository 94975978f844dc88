"""Answers that a parser leaves among the thinking reach the client as content, and nothing else is touched."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.upstream import CHAT, Gateway, Upstream, ready, streaming
from tests.support.waiting import wait_until
from trtnemo.gateway.repair import has_the_fault, repair_for
from trtnemo.gateway.upstream import Upstream as Server
from trtnemo.gateway.usage import UsageReader

OFF = {"chat_template_kwargs": {"enable_thinking": False}, "stream": True}
FORCED = {"chat_template_kwargs": {"force_nonempty_content": True}, "stream": True}


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish, **more}
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode() + b"\n\n"


END = chunk({}, "stop") + b"data: [DONE]\n\n"
THOUGHT = chunk({"role": "assistant", "content": ""}) + chunk({"reasoning": "To"}) + chunk({"reasoning": "kyo"}) + END
ANSWERED = chunk({"reasoning_content": "hm"}) + chunk({"content": "Tokyo"}) + END


def mended(body: dict[str, Any], *pieces: bytes) -> bytes:
    repair = repair_for(json.dumps(body).encode())
    assert repair is not None
    return b"".join([*(repair.feed(piece) for piece in pieces), repair.rest()])


def said(stream: bytes, name: str = "content") -> str:
    events = [line[6:] for line in stream.split(b"\n\n") if line.startswith(b"data: {")]
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    return "".join(delta.get(name) or "" for delta in deltas)


def test_with_thinking_off_reasoning_is_content_as_it_comes() -> None:
    found = mended(OFF, THOUGHT)
    assert said(found) == "Tokyo"
    assert said(found, "reasoning") == ""
    assert found.count(b"data:") == THOUGHT.count(b"data:")
    assert found.endswith(b"data: [DONE]\n\n")


def test_content_that_must_not_be_empty_is_the_reasoning_said_again() -> None:
    found = mended(FORCED, THOUGHT)
    assert said(found) == said(found, "reasoning") == "Tokyo"
    assert found.index(b'"content":"Tokyo"') < found.index(b'"finish_reason": "stop"')
    assert mended(FORCED, ANSWERED) == ANSWERED


def test_a_call_of_a_tool_is_an_answer() -> None:
    call = chunk({"reasoning": "hm"}) + chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]}) + END
    assert mended(FORCED, call) == call


def test_each_choice_is_mended_for_itself() -> None:
    two = chunk({"reasoning": "a"}) + chunk({"content": "b"}, index=1) + chunk({}, "stop", 1) + END
    assert said(mended(FORCED, two)) == "ba"


@pytest.mark.parametrize(
    "body",
    [
        {"stream": True},
        {**OFF, "stream": False},
        {"chat_template_kwargs": {"enable_thinking": True}, "stream": True},
        {"chat_template_kwargs": {"force_nonempty_content": "true"}, "stream": True},
        {"chat_template_kwargs": None, "stream": True},
        ["chat_template_kwargs"],
        "chat_template_kwargs",
    ],
)
def test_what_asks_for_nothing_of_the_kind_is_not_looked_at(body: Any) -> None:
    assert repair_for(json.dumps(body).encode()) is None
    assert repair_for(b"{chat_template_kwargs") is None


@pytest.mark.parametrize(
    "stream",
    [
        b": comment\n\n",
        b"event: x\ndata: {}\n\n",
        b"data: no json\n\n",
        b'data: {"choices": 1}\n\n',
        b'data: {"choices": [1]}\n\n',
        b'data: {"choices": [{"delta": null}]}\n\n',
        b'data: {"error": {"message": "x"}}\n\n',
        b'data: {"choices": [], "usage": {"total_tokens": 3}}\n\n',
        b"half an event",
        b"",
    ],
)
def test_other_events_pass_byte_for_byte(stream: bytes) -> None:
    assert mended(OFF, stream) == mended(FORCED, stream) == stream


def test_an_event_without_an_end_is_passed_on_and_ends_the_repair() -> None:
    long = b"data: " + b"x" * (1 << 20)
    repair = repair_for(json.dumps(OFF).encode())
    assert repair is not None
    assert repair.feed(long) == long
    assert repair.feed(THOUGHT) == THOUGHT


def test_reasoning_is_said_again_once_and_not_without_end() -> None:
    twice = chunk({"reasoning": "a"}) + chunk({}, "stop") + chunk({}, "stop")
    assert said(mended(FORCED, twice)) == "a"
    many = b"".join(chunk({"reasoning": "x" * 60_000}) for _ in range(30)) + END
    assert len(said(mended(FORCED, many))) < (1 << 20) + 60_000


@pytest.mark.fuzz
@given(st.lists(st.integers(1, 40), max_size=30), st.sampled_from([THOUGHT, ANSWERED, THOUGHT[:-30]]))
def test_however_a_stream_is_cut_into_pieces_it_is_mended_alike(sizes: list[int], stream: bytes) -> None:
    pieces, rest = [], stream
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert mended(FORCED, *pieces, rest) == mended(FORCED, stream)
    assert mended(OFF, *pieces, rest) == mended(OFF, stream)


@pytest.mark.parametrize(
    ("owner", "version", "faulty"),
    [
        ("vllm", "0.20.0", True),
        ("vllm", "0.22.0", True),
        ("vllm", "0.33.0", False),
        ("vllm", "0.20.1.dev3+g123", True),
        ("vllm", "", False),
        ("sglang", "0.5.10", False),
        ("nobody", "0.1", False),
    ],
)
def test_a_version_that_has_the_fault_is_known(owner: str, version: str, faulty: bool) -> None:
    assert has_the_fault(Server("http://x", owner=owner, version=version)) is faulty


@pytest.mark.parametrize(
    ("version", "repairs", "content"),
    [("0.20.0", "auto", "Tokyo"), ("0.33.0", "auto", ""), ("0.33.0", "always", "Tokyo"), ("0.20.0", "never", "")],
)
def test_a_gateway_mends_where_the_version_has_the_fault(
    gateway: Gateway, version: str, repairs: str, content: str
) -> None:
    upstream = Upstream(answer=streaming(THOUGHT[:100], THOUGHT[100:]), owner="vllm", version=version)
    with upstream.serving as base:
        _, url = gateway(base, repairs=repairs)
        wait_until(lambda: ready(url))
        found = httpx.post(f"{url}/v1/chat/completions", json={**CHAT, **OFF}).content
        plain = httpx.post(f"{url}/v1/chat/completions", json={**CHAT, "stream": True}).content
    assert said(found) == content
    assert plain == THOUGHT


def test_usage_is_read_from_the_end_of_an_answer() -> None:
    def tokens(*pieces: bytes) -> int:
        reader = UsageReader()
        for piece in pieces:
            reader.feed(piece)
        return reader.tokens

    assert tokens(b'{"usage": {"prompt_tokens": 5, "total_tok', b'ens": 12}}') == 12
    assert tokens(b'{"usage":{"input_tokens":5,"output_tokens":3}}') == 8
    assert tokens(b"data: {}\n\n" * 7) == 7
    assert tokens(b"x" * 100_000 + b'"total_tokens": 4') == 4
    assert tokens(b'{"error": "total_tokens"}') == 0
    assert tokens() == 0


def test_a_key_has_its_tokens_and_no_more(gateway: Gateway, tmp_path: Any) -> None:
    keys = tmp_path / "keys"
    keys.write_text("alice: key-of-alice\nbob: key-of-bob\n")
    keys.chmod(0o600)
    answer = b'{"choices": [1], "usage": {"total_tokens": 500}}'
    upstream = Upstream(answer=lambda handler, body: handler._answer(200, answer, {}))
    with upstream.serving as base:
        _, url = gateway(base, options=("--api-key-file", str(keys)), tokens_per_minute=100)
        wait_until(lambda: ready(url))

        def ask(key: str) -> int:
            head = {"authorization": f"Bearer {key}"}
            return httpx.post(f"{url}/v1/chat/completions", json=CHAT, headers=head).status_code

        assert [ask("key-of-alice"), ask("key-of-alice"), ask("key-of-bob")] == [200, 429, 200]
