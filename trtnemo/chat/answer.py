"""An answer as it is put together: its text, its tool calls, its token counts and its times."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trtnemo.chat.piece import Piece


@dataclass
class Call:
    """A tool call as far as it came."""

    name: str = ""
    arguments: str = ""

    def render(self) -> str:
        """Return it as a call is written."""
        return f"{self.name}({self.arguments})"


@dataclass
class Answer:
    """What came of an answer; times are seconds on the clock of `time.perf_counter`."""

    text: str = ""
    calls: dict[int, Call] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    finish_reason: str = ""
    was_stopped: bool = False
    began: float = field(default_factory=time.perf_counter)
    first: float | None = None
    last: float | None = None

    def add(self, piece: Piece) -> None:
        """Add what came."""
        if piece.thought or piece.text or piece.calls:
            self.last = time.perf_counter()
            self.first = self.last if self.first is None else self.first
        self.text += piece.text
        for part in piece.calls:
            call = self.calls.setdefault(part.index, Call())
            call.name += part.name
            call.arguments += part.arguments
        self.usage = piece.usage or self.usage
        self.finish_reason = piece.finish_reason or self.finish_reason

    @property
    def said(self) -> str:
        """The answer as later turns see it: its text, or the calls it asked for, which nobody makes here."""
        return self.text or "\n".join(call.render() for call in self.calls.values())
