"""Servers that fail, refuse and attack: the conversation outlives them, and no byte of theirs drives the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.chat.server import Reply, breaks_off, chat_server, delta, refuses, says, writes
from tests.support.chat.terminal import terminal

ATTACK = "\x1b]0;owned\x07\x1b[8mhidden\x1b[0m\x9b2J\r\x08\u202egnp.exe"
SHOWN = r"\x1b]0;owned\x07\x1b[8mhidden\x1b[0m\x9b2J\r\x08\u202egnp.exe"


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


FAILURES: dict[str, tuple[Reply, str]] = {
    "busy": (refuses(429, "8 requests run already. Send it again later"), "Send it again later (HTTP 429"),
    "full": (refuses(400, "the prompt exceeds the context"), "the prompt exceeds the context (HTTP 400"),
    "defect": (writes(b'data: {"error": {"message": "the engine failed"}}\n\n'), "the engine failed"),
    "bare defect": (writes(b'data: {"error": "caught fire"}\n\n'), "caught fire"),
    "breaks off": (breaks_off("The answer is"), "the answer broke off"),
    "a page": (writes(b"<html>502</html>", "text/html"), "answers with text/html"),
    "no json": (writes(b"data: {nonsense\n\n"), "an event that is not JSON"),
    "no object": (writes(b"data: [1]\n\n"), "an event that is no JSON object"),
    "deep": (writes(b"data: " + b"[" * 100_000 + b"\n\n"), "an event that is not JSON"),
    "attack": (refuses(500, ATTACK), "gnp.exe"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_turn_that_fails_is_taken_back_and_told(name: str) -> None:
    reply, told = FAILURES[name]
    with (
        chat_server(says("One."), reply, says("Three.")) as server,
        terminal("chat", "--url", server.url) as user,
    ):
        for number, (keys, seen) in enumerate({"one\r": "One.", "two\r": told, "\x1b[A\r": "Three."}.items()):
            user.wait_for_prompt()
            user.type(keys)
            user.wait_for(seen)
            assert ("This turn is taken back: arrow up brings it up again" in user.text) == (number > 0)
        assert user.title == ""
    assert server.said() == [("user", "one"), ("assistant", "One."), ("user", "two")]


SHAPES = {
    "text": delta(ATTACK),
    "thought": delta(reasoning_content=ATTACK),
    "call": delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": ATTACK}}]),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ask", [[], ["hi"]])
def test_a_terminal_is_shown_control_characters_and_obeys_none(shape: str, ask: list[str]) -> None:
    with (
        chat_server(says(SHAPES[shape], "a\n\ttab")) as server,
        terminal("chat", *ask, "--url", server.url) as user,
    ):
        if not ask:
            user.wait_for_prompt()
            user.type("hi\r")
        user.wait_for(SHOWN)
        user.wait_for("a\n        tab")
        assert user.title == ""
        assert b"\x1b]0;" not in user.written


def test_the_name_that_a_server_gives_itself_drives_no_terminal() -> None:
    with chat_server(model=ATTACK) as server, terminal("chat", "--url", server.url) as user:
        user.wait_for(SHOWN)
        assert user.title == ""


def test_half_a_character_in_an_answer_ends_nothing() -> None:
    raw = writes(b'data: {"choices":[{"delta":{"content":"half \\ud83d"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    with chat_server(raw, says("Whole.")) as server, terminal("chat", "--url", server.url) as user:
        for keys, seen in {"one\r": r"half \ud83d", "two\r": "Whole."}.items():
            user.wait_for_prompt()
            user.type(keys)
            user.wait_for(seen)
    assert server.said() == [("user", "one"), ("assistant", "half ?"), ("user", "two")]
