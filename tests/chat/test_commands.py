"""Lines that begin with a slash: understood, or refused with a suggestion, and never sent."""

from __future__ import annotations

import pytest

from tests.support.chat.server import chat_server, says
from tests.support.chat.terminal import terminal
from trtnemo.chat.commands import COMMANDS, is_command, is_leaving, run_command
from trtnemo.chat.conversation import Conversation, Thinking
from trtnemo.chat.stream import ChatEndpoint


def conversation(url: str = "http://127.0.0.1:1", thinking: Thinking = "on") -> Conversation:
    return Conversation(ChatEndpoint(url), "stand-in", thinking, None, {})


def test_help_names_every_command() -> None:
    told = run_command(conversation(), "/help")
    assert [line for line in COMMANDS if line not in told] == []


def test_an_unknown_command_is_refused_with_the_nearest_name() -> None:
    assert run_command(conversation(), "/hepl").startswith("There is no command /hepl; did you mean '/help'?")
    assert run_command(conversation(), "/x").startswith("There is no command /x. /help lists them")


@pytest.mark.parametrize("text", ["/etc/hosts: what is it?", " /help", "//", "1/2", "what is /help?"])
def test_text_with_a_slash_is_text(text: str) -> None:
    assert not is_command(text)
    assert not is_leaving(text)


@pytest.mark.parametrize("text", ["exit now", " exit", "quitting", "/exits", "Exit?"])
def test_a_turn_about_leaving_does_not_leave(text: str) -> None:
    assert not is_leaving(text)


def test_a_system_prompt_is_set_shown_and_removed() -> None:
    talk = conversation()
    assert run_command(talk, "/system") == "There is no system prompt."
    run_command(talk, "/system Be brief.\nAnd kind.")
    assert talk.system == "Be brief.\nAnd kind."
    assert run_command(talk, "/system") == "System prompt: Be brief.\nAnd kind."
    run_command(talk, "/system off")
    assert talk.system is None


def test_what_commands_say_is_sent_with_the_next_turn() -> None:
    replies = [says(f"Answer {number}.") for number in range(4)]
    with chat_server(*replies) as server:
        talk = conversation(server.url)
        run_command(talk, "/system Be brief.")
        for word in ("low", "off", "on"):
            assert run_command(talk, f"/think {word}") == f"Thinking is {word}."
            talk.ask("hi", lambda piece: None)
        assert run_command(talk, "/think hard") == "/think takes on, off or low, not hard."
        assert run_command(talk, "/think") == "Thinking is on."
        run_command(talk, "/reset")
        talk.ask("again", lambda piece: None)
    assert [body["chat_template_kwargs"] for body in server.asked] == [
        {"enable_thinking": True, "low_effort": True},
        {"enable_thinking": False},
        {"enable_thinking": True},
        {"enable_thinking": True},
    ]
    assert [len(body["messages"]) for body in server.asked] == [2, 4, 6, 2]
    assert server.said() == [("system", "Be brief."), ("user", "again")]


def test_commands_are_completed_and_do_not_reach_the_model() -> None:
    with chat_server(says("One.")) as server, terminal("chat", "--no-history", "--url", server.url) as user:
        for keys, seen in {
            "/th\t off\r": "Thinking is off.",
            "/reset\r": "The conversation begins anew.",
            "/hlp\r": "did you mean '/help'?",
            " /help\r": "One.",
        }.items():
            user.wait_for_prompt()
            user.type(keys)
            user.wait_for(seen)
    assert server.said() == [("user", "/help")]
