"""The prompt of a terminal: a line that is edited, a history, pastes as one turn."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import create_output
from prompt_toolkit.shortcuts import CompleteStyle

from trtnemo.chat.stop_key import Stopped
from trtnemo.chat.visible import whole


class Prompt:
    """Reads turns from a terminal."""

    def __init__(self, history: History, commands: Iterable[str]) -> None:
        keys = KeyBindings()
        keys.add("escape", "enter")(_break_line)
        self._session: PromptSession[str] = PromptSession(
            "> ",
            history=history,
            key_bindings=keys,
            completer=WordCompleter(sorted(commands), sentence=True),
            complete_style=CompleteStyle.READLINE_LIKE,
            complete_while_typing=False,
            reserve_space_for_menu=0,
            prompt_continuation="  ",
            enable_suspend=True,
            interrupt_exception=Stopped,
            # stdout may be a file that takes the answers
            output=create_output(stdout=sys.stdout if sys.stdout.isatty() else sys.stderr),
        )

    def read(self) -> str | None:
        """Return what was typed or pasted, None at Ctrl-D; Ctrl-C discards it, or raises Stopped where it is empty."""
        try:
            return whole(self._session.prompt())
        except EOFError:
            return None
        except Stopped:
            if self._session.default_buffer.text:
                return ""
            raise


def _break_line(event: KeyPressEvent) -> None:
    event.current_buffer.insert_text("\n")
