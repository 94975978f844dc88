"""What is read of a stream: text as it is, counts where a server gives them, nothing lost in odd shapes."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.support.chat.server import END, Body, Reply, chat_server, delta, goes_on, refuses, says, writes
from trtnemo.chat.answer import Answer
from trtnemo.chat.conversation import Conversation
from trtnemo.chat.piece import Piece, read_piece
from trtnemo.chat.stream import ChatEndpoint
from trtnemo.errors import ServerError


def ask(server: Any, text: str = "hi", times: int = 1) -> Answer:
    talk = Conversation(ChatEndpoint(server.url), "stand-in", "on", None, {})
    return [talk.ask(text, lambda piece: None) for _ in range(times)][-1]


def test_text_holds_what_python_takes_for_the_end_of_a_line() -> None:
    text = "a\u2028b\x85c\x0bd\r\ne"
    with chat_server(says(text)) as server:
        assert ask(server).text == text


def test_comments_and_other_fields_of_a_stream_are_passed_over() -> None:
    data = b': ping\n\nevent: x\r\ndata:{"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\r\n\r\n'
    with chat_server(writes(data)) as server:
        assert ask(server).text == "hi"


def test_counts_come_after_the_end() -> None:
    usage: Body = {"choices": [], "usage": {"completion_tokens": 7}}
    with chat_server(says("hi", END, usage)) as server:
        assert ask(server).usage == {"completion_tokens": 7}
    assert server.asked[0]["stream_options"] == {"include_usage": True}


def test_a_server_that_refuses_to_count_is_asked_without_from_then_on() -> None:
    with chat_server(refuses(422, "stream_options: extra fields not permitted"), says("One."), says("Two.")) as server:
        assert ask(server, times=2).text == "Two."
    assert ["stream_options" in body for body in server.asked] == [True, False, False]


def test_another_refusal_is_not_asked_again() -> None:
    with chat_server(refuses(400, "no such thing")) as server, pytest.raises(ServerError, match="no such thing"):
        ask(server)
    assert len(server.asked) == 1


def test_calls_are_put_together_from_their_parts() -> None:
    parts = [
        [{"index": 0, "id": "1", "function": {"name": "weather", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"city": '}}, {"index": 1, "function": {"name": "clock"}}],
        [{"index": 0, "function": {"arguments": '"Oslo"}'}}, None, {"function": "f"}],
    ]
    with chat_server(says(*(delta("", tool_calls=part) for part in parts))) as server:
        answer = ask(server)
    assert [call.render() for call in answer.calls.values()][:2] == ['weather({"city": "Oslo"})', "clock()"]
    assert answer.said.startswith('weather({"city": "Oslo"})\nclock()')


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": None, "tool_calls": 3, "reasoning": 1}, "finish_reason": 5}], "usage": []},
        {"error": None},
    ],
)
def test_an_event_that_says_nothing_adds_nothing(event: Body) -> None:
    assert read_piece(event) == Piece()


def test_a_line_without_end_is_not_kept_in_memory() -> None:
    def reply(handler: BaseHTTPRequestHandler, body: Body) -> None:
        writes(b"data: ")(handler, body)
        for _ in range(64):
            handler.wfile.write(b"x" * (1 << 20))

    with chat_server(reply) as server, pytest.raises(ServerError, match="a line of more than 16777216 bytes"):
        ask(server)


def test_nothing_is_read_on_when_an_answer_is_no_longer_wanted() -> None:
    ended = threading.Event()

    def reply(handler: BaseHTTPRequestHandler, body: Body) -> None:
        try:
            goes_on("hi", threading.Event())(handler, body)
        finally:
            ended.set()

    def show(piece: Piece) -> None:
        raise BrokenPipeError

    with chat_server(reply) as server:
        talk = Conversation(ChatEndpoint(server.url), "stand-in", "on", None, {})
        with pytest.raises(BrokenPipeError):
            talk.ask("hi", show)
        assert ended.wait(30)
    assert talk.messages == []


@pytest.mark.parametrize(
    ("reply", "told"),
    [(refuses(500, "oh"), "oh (HTTP 500 Internal Server Error)"), (refuses(503, ""), "HTTP 503 Service Unavailable")],
)
def test_a_refusal_names_the_server_but_no_password(reply: Reply, told: str) -> None:
    with chat_server(reply) as server:
        endpoint = ChatEndpoint(server.url.replace("//", "//me:secret@"))
        with pytest.raises(ServerError) as caught:
            list(endpoint.stream({"messages": []}))
    assert str(caught.value).startswith(f"{server.url}: ")
    assert told in str(caught.value)
