"""The two ways to have a conversation: at a terminal's prompt, or with turns that are there already."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from trtnemo.chat.commands import NAMES, is_command, is_leaving, run_command
from trtnemo.chat.conversation import Conversation
from trtnemo.chat.screen import Screen
from trtnemo.chat.status import shortfall, status_line
from trtnemo.chat.stop_key import StopKey, Stopped
from trtnemo.errors import TrtnemoError, UsageError


def script_lines() -> Iterator[str]:
    """Yield the lines of stdin that are not blank; raises UsageError at one that is not text."""
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            raise UsageError("is not valid UTF-8", where=f"line {number} of the input") from None
        if text:
            yield text


def answer_all(conversation: Conversation, turns: Iterable[str]) -> int:
    """Print the answer to each turn, and return how many; raises ServerError at one without any."""
    screen, count = Screen(), 0
    for turn in turns:
        answer = conversation.ask(turn, screen.show)
        screen.end(answer)
        if text := shortfall(answer):
            screen.note(text)
        count += 1
    return count


def converse(conversation: Conversation, where: str, *, keep_lines: bool) -> None:
    """Talk at a terminal until the user leaves; an answer that fails or is stopped ends nothing."""
    from trtnemo.chat.held_keys import held_keys
    from trtnemo.chat.kept_lines import kept_lines, typed_now
    from trtnemo.chat.prompt import Prompt

    screen = Screen()
    screen.note(f"{conversation.model} at {where}. /help lists commands, Ctrl-D leaves.")
    history = typed_now()
    if keep_lines:
        try:
            history = kept_lines()
        except OSError as error:
            screen.note(f"What you type is not kept: {error.filename}: {error.strerror}")
    prompt = Prompt(history, NAMES)
    with StopKey() as stop_key:
        while True:
            try:
                text = prompt.read()
            except Stopped:
                screen.note("Ctrl-D or /exit leaves.")
                continue
            if text is None or is_leaving(text):
                return
            if is_command(text):
                screen.note(run_command(conversation, text.rstrip()))
            elif text.strip():
                with held_keys(sys.stdin.fileno()):
                    _take_turn(conversation, text.strip(), screen, stop_key)


def _take_turn(conversation: Conversation, text: str, screen: Screen, stop_key: StopKey) -> None:
    try:
        answer = conversation.ask(text, screen.show, stop_key.armed())
    except TrtnemoError as error:
        screen.note(f"error: {error}\nThis turn is taken back: arrow up brings it up again, /reset begins anew.")
        return
    screen.end(answer)
    screen.note(status_line(conversation.model, answer))
    if not answer.said:
        screen.note("Nothing was answered: this turn is taken back, and arrow up brings it up again.")
