"""Thinking and answer told apart while the text arrives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from trtnemo.text.stop import overlap

OPEN, CLOSE = "<think>", "</think>"
Channel = Literal["reasoning", "content"]


class Piece(NamedTuple):
    """A piece of text and where it belongs."""

    channel: Channel
    text: str


class ReasoningSplitter:
    """Splits a stream at the think tags, whatever chunks it comes in.

    `open_at_start` says that the prompt ended inside a think block, as the family's generation prompt does. The line
    break beside each tag belongs to the format and is dropped.
    """

    def __init__(self, open_at_start: bool) -> None:
        self._channel: Channel = "reasoning" if open_at_start else "content"
        self._held = ""
        self._begun = False
        self._drop_newlines = True

    def push(self, text: str) -> Iterator[Piece]:
        """Yield what is certain so far; a possible beginning of a tag is held back."""
        self._held += text
        while True:
            tag = CLOSE if self._channel == "reasoning" else OPEN
            before, found, after = self._held.partition(tag)
            if not found or (tag == OPEN and (self._begun or before.strip())):
                break
            if self._channel == "reasoning":
                yield from self._emit(before.rstrip("\n"))
            self._switch(after)
        keep = self._uncertain_tail()
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        yield from self._emit(ready)

    def finish(self) -> Iterator[Piece]:
        """Yield what was held back."""
        text, self._held = self._held, ""
        yield from self._emit(text)

    def _switch(self, rest: str) -> None:
        self._channel = "content" if self._channel == "reasoning" else "reasoning"
        self._held, self._drop_newlines = rest, True
        self._begun = self._channel == "content"

    def _emit(self, text: str) -> Iterator[Piece]:
        if self._drop_newlines:
            text = text.lstrip("\n")
        if text:
            self._drop_newlines = False
            self._begun = self._begun or bool(text.strip())
            yield Piece(self._channel, text)

    def _uncertain_tail(self) -> int:
        """Return how many last characters may belong to a tag, or to the line break before one."""
        if self._channel == "reasoning":
            body = self._held[: len(self._held) - overlap(self._held, CLOSE)]
            return len(self._held) - len(body.rstrip("\n"))
        if self._begun:
            return 0
        # An opening tag counts at the very beginning only, where white space may stand before it.
        body = self._held[: len(self._held) - overlap(self._held, OPEN)]
        return 0 if body.strip() else len(self._held)


def split_reasoning(text: str, open_at_start: bool) -> tuple[str, str]:
    """Return (reasoning, content) of a whole text."""
    splitter = ReasoningSplitter(open_at_start)
    pieces = [*splitter.push(text), *splitter.finish()]
    joined = {channel: "".join(p.text for p in pieces if p.channel == channel) for channel in ("reasoning", "content")}
    return joined["reasoning"], joined["content"]


def ends_in_thinking(prompt: str) -> bool:
    """Return whether a rendered prompt leaves a think block open."""
    return prompt.rstrip().endswith(OPEN)
