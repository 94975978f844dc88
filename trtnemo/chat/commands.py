"""What a conversation understands beside text: lines that begin with a slash."""

from __future__ import annotations

import re
from typing import get_args

from trtnemo.chat.conversation import Conversation, Thinking
from trtnemo.recipe.nearest import suggestion

COMMANDS = {
    "/exit": "leave, as Ctrl-D and /quit do",
    "/help": "show this",
    "/quit": "leave",
    "/reset": "begin anew; the system prompt stays",
    "/system [TEXT]": "show the system prompt, or set it; /system off removes it",
    "/think on|off|low": "whether the model thinks first, and how much",
}
NAMES = {usage.split()[0]: usage for usage in COMMANDS}
_KEYS = "Ctrl-C stops an answer, Alt-Enter breaks the line, arrow up brings back what was typed."
# a path, such as /etc/hosts, is text
_COMMAND = re.compile(r"/\w*(?=\s|$)")


def is_command(text: str) -> bool:
    """Return whether a line is a command; a blank before the slash makes any line text."""
    return bool(_COMMAND.match(text))


def is_leaving(line: str) -> bool:
    """Return whether a line says to leave; the bare words do too, as in other programs."""
    return line.rstrip() in ("exit", "quit") or (line.split()[:1] in (["/exit"], ["/quit"]) and is_command(line))


def run_command(conversation: Conversation, line: str) -> str:
    """Do what a command says and return what is to be told of it."""
    name, _, argument = line.partition(" ")
    argument = argument.strip()
    if name == "/help":
        return _help()
    if name == "/reset":
        conversation.messages.clear()
        return "The conversation begins anew."
    if name == "/system":
        return _system(conversation, argument)
    if name == "/think":
        return _think(conversation, argument)
    like = suggestion(name, NAMES) or "."
    return f"There is no command {name}{like} /help lists them; a blank before it makes it text."


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"{usage:<{width}}  {meaning}" for usage, meaning in COMMANDS.items()]
    return "\n".join([*lines, _KEYS])


def _system(conversation: Conversation, text: str) -> str:
    if not text:
        return f"System prompt: {conversation.system}" if conversation.system else "There is no system prompt."
    conversation.system = None if text == "off" else text
    return "The system prompt is set." if conversation.system else "The system prompt is removed."


def _think(conversation: Conversation, word: str) -> str:
    choices: dict[str, Thinking] = {choice: choice for choice in get_args(Thinking)}
    if word and word not in choices:
        return f"/think takes on, off or low, not {word}."
    conversation.thinking = choices.get(word, conversation.thinking)
    return f"Thinking is {conversation.thinking}."
