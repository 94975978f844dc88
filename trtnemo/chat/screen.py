"""Where an answer is printed: its text on stdout, all else on stderr, so that a pipe receives the answer alone."""

from __future__ import annotations

import io
import sys
from typing import Literal, TextIO

from trtnemo.chat.answer import Answer
from trtnemo.chat.piece import Piece
from trtnemo.chat.visible import visible


class Screen:
    """Prints pieces as they come. A terminal obeys nothing in them; a pipe gets them as they are."""

    def __init__(self) -> None:
        self._channel: Literal["", "thought", "text"] = ""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")

    def show(self, piece: Piece) -> None:
        """Print a piece of an answer."""
        if piece.thought:
            self._turn_to("thought")
            _write(sys.stderr, piece.thought, dim=True)
        if piece.text:
            self._turn_to("text")
            _write(sys.stdout, piece.text)

    def end(self, answer: Answer) -> None:
        """Print the tool calls of an answer, and end its last line."""
        if self._channel == "thought":
            _write(sys.stderr, "\n")
        self._channel = ""
        _write(sys.stdout, "\n")
        for call in answer.calls.values():
            _write(sys.stderr, f"[calls {call.render()}]", dim=True)
            _write(sys.stderr, "\n")

    def note(self, text: str) -> None:
        """Print something that is of us, not of the model; what was begun is left on a line of its own."""
        _write(sys.stderr, ("\n" if self._channel else ""))
        self._channel = ""
        _write(sys.stderr, text, dim=True)
        _write(sys.stderr, "\n")

    def _turn_to(self, channel: Literal["thought", "text"]) -> None:
        if self._channel not in ("", channel):
            _write(sys.stderr, "\n")
        self._channel = channel


def _write(stream: TextIO, text: str, *, dim: bool = False) -> None:
    """Write and flush: click would take escape codes out of what a pipe receives."""
    if stream.isatty():
        text = f"\x1b[2m{visible(text)}\x1b[0m" if dim else visible(text)
    stream.write(text)
    stream.flush()
