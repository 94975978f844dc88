"""Talking at a terminal: keys, pastes and Ctrl-C, in a real one; only what the user meant reaches the model."""

from __future__ import annotations

import signal
import stat
import termios
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support.chat.server import END, Body, begin, chat_server, delta, goes_on, says, send
from tests.support.chat.terminal import Terminal, terminal
from tests.support.waiting import wait_until

UP, LEFT, HOME = "\x1b[A", "\x1b[D", "\x1b[H"


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def take_turn(user: Terminal, keys: str, answer: str) -> None:
    if keys != "\r":
        user.wait_for_prompt()
    user.type(keys)
    user.wait_for(answer)
    user.wait_for_prompt()


def test_keys_edit_the_line_and_arrow_up_brings_back_what_was_typed() -> None:
    with chat_server(says("One."), says("Two.")) as server, terminal("chat", "--url", server.url) as user:
        take_turn(user, f"orld{HOME}wx{LEFT}\x1b[C\x7f\r", "One.")
        take_turn(user, f"{UP}!\r", "Two.")
    assert server.said() == [("user", "world"), ("assistant", "One."), ("user", "world!")]


def test_a_paste_of_several_lines_is_one_turn() -> None:
    with chat_server(says("Seen.")) as server, terminal("chat", "--url", server.url) as user:
        user.wait_for_prompt()
        user.paste("def f():\n\treturn 1\n\nf()")
        take_turn(user, "\r", "Seen.")
        assert "> def f():" in user.text
    assert server.said() == [("user", "def f():\n\treturn 1\n\nf()")]


def test_alt_enter_breaks_the_line() -> None:
    with chat_server(says("Seen.")) as server, terminal("chat", "--url", server.url) as user:
        take_turn(user, "one\x1b\rtwo\r", "Seen.")
    assert server.said() == [("user", "one\ntwo")]


def test_ctrl_c_stops_the_answer_and_what_came_of_it_stays_said() -> None:
    replies = goes_on("The first half", threading.Event()), says("Go on, then.")
    with chat_server(*replies) as server, terminal("chat", "--url", server.url) as user:
        user.wait_for_prompt()
        user.type("Tell me\r")
        user.wait_for("The first half")
        user.type("\x03\x03\x03")  # as impatient people do
        user.wait_for("| stopped")
        take_turn(user, "And?\r", "Go on, then.")
        assert user.process.poll() is None
    assert server.said() == [("user", "Tell me"), ("assistant", "The first half"), ("user", "And?")]


def test_an_answer_that_is_stopped_before_it_began_is_as_if_never_asked() -> None:
    with (
        chat_server(goes_on("", threading.Event()), says("Yes.")) as server,
        terminal("chat", "--url", server.url) as user,
    ):
        user.wait_for_prompt()
        user.type("Hello\r")
        wait_until(lambda: server.asked)
        user.type("\x03")
        user.wait_for("Nothing was answered: this turn is taken back")
        take_turn(user, f"{UP}\r", "Yes.")
    assert server.said() == [("user", "Hello")]


def test_ctrl_c_at_an_empty_prompt_says_how_to_leave_and_discards_what_was_typed() -> None:
    with chat_server(says("Kept.")) as server, terminal("chat", "--url", server.url) as user:
        take_turn(user, "\x03", "Ctrl-D or /exit leaves.")
        user.type("never mind\x03")
        user.wait_for("> never mind")
        take_turn(user, "sent\r", "Kept.")
        assert user.text.count("Ctrl-D or /exit leaves.") == 1
    assert server.said() == [("user", "sent")]


@pytest.mark.parametrize("keys", ["\x04", "/exit\r", "/quit\r", "exit\r", "quit \r"])
def test_leaving_is_no_failure(keys: str) -> None:
    with chat_server() as server, terminal("chat", "--url", server.url) as user:
        user.wait_for("Ctrl-D leaves")
        user.wait_for_prompt()
        user.type(keys)
        assert user.wait() == 0
        assert server.asked == []


@pytest.mark.parametrize("answering", [False, True])
def test_being_told_to_end_ends_it_and_leaves_the_terminal_as_it_was(answering: bool) -> None:
    with chat_server(goes_on("On and on", threading.Event())) as server, terminal("chat", "--url", server.url) as user:
        before = termios.tcgetattr(user.descriptor)
        user.wait_for_prompt()
        if answering:
            user.type("Hello\r")
            user.wait_for("On and on")
        assert termios.tcgetattr(user.descriptor) != before
        user.process.send_signal(signal.SIGTERM)
        assert user.wait() == 130
        assert termios.tcgetattr(user.descriptor) == before
        assert user.written.rfind(b"\x1b[?2004l") > user.written.rfind(b"\x1b[?2004h")


def test_what_is_typed_while_an_answer_comes_waits_for_the_next_prompt() -> None:
    goes = threading.Event()

    def held(handler: BaseHTTPRequestHandler, body: Body) -> None:
        begin(handler)
        send(handler, delta("Slow"))
        goes.wait(30)
        send(handler, delta(" answer."), END)

    with chat_server(held, says("Quick.")) as server, terminal("chat", "--url", server.url) as user:
        user.wait_for_prompt()
        user.type("one\r")
        user.wait_for("Slow")
        user.paste("two\nlines")
        user.type("\r")
        goes.set()
        user.wait_for("Quick.")
        assert user.text.index("Slow answer.") < user.text.index("two")
    assert server.said()[-1] == ("user", "two\nlines")


def test_what_was_typed_is_kept_for_its_user_alone(tmp_path: Path) -> None:
    kept = tmp_path / "state" / "trtnemo" / "chat-history"
    kept.parent.mkdir(parents=True)
    kept.touch(0o644)
    with chat_server(says("One."), says("Two.")) as server:
        with terminal("chat", "--url", server.url) as user:
            take_turn(user, "remember\x1b\rthis\r", "One.")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        with terminal("chat", "--url", server.url) as user:
            take_turn(user, f"{UP}\r", "Two.")
    assert server.said() == [("user", "remember\nthis")]


def test_nothing_is_kept_where_the_user_says_so(tmp_path: Path) -> None:
    with chat_server(says("One.")) as server, terminal("chat", "--no-history", "--url", server.url) as user:
        take_turn(user, "a secret\r", "One.")
    assert not (tmp_path / "state").exists()


def test_a_state_directory_that_cannot_be_written_costs_only_the_history(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with chat_server(says("One.")) as server, terminal("chat", "--url", server.url) as user:
        take_turn(user, "hi\r", "One.")
        assert "What you type is not kept" in user.text


def test_bytes_that_are_no_text_are_replaced() -> None:
    with chat_server(says("One.")) as server, terminal("chat", "--url", server.url) as user:
        user.wait_for_prompt()
        user.type(b"caf\xe9 \r")
        user.wait_for("One.")
    assert server.said() == [("user", "caf?")]


def test_answers_go_to_a_file_where_stdout_is_one(tmp_path: Path) -> None:
    out = tmp_path / "answers"
    with chat_server(says("For \x1b[1mthe file")) as server, terminal("chat", "--url", server.url, stdout=out) as user:
        user.wait_for_prompt()
        user.type("hi\r")
        user.wait_for("first after")
        user.wait_for_prompt()
        user.type("\x04")
        assert user.wait() == 0
        assert "For" not in user.text
    assert out.read_bytes() == b"For \x1b[1mthe file\n"
