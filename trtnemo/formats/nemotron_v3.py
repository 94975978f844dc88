"""Nemotron-3's think tags: the prompt opens a block, the model closes it, and the rest is the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.formats.format import Channel, Piece, ReasoningFormat, register
from trtnemo.formats.overlap import begins, overlap

OPEN, CLOSE = "<think>", "</think>"


class ReasoningSplitter:
    """Splits a stream at the think tags, whatever chunks it comes in.

    `open_at_start` says that the prompt ended inside a think block, as the family's generation prompt does. The line
    break beside each tag belongs to the format and is dropped, and so is a closing tag right behind another. `closers`
    are tags that end thinking where they follow one another, and belong to what follows: a tool call inside an open
    think block is a call, its tag's name is not.
    """

    def __init__(self, open_at_start: bool, closers: tuple[str, ...] = ()) -> None:
        self._closers = closers
        self._channel: Channel = "reasoning" if open_at_start else "content"
        self._held = ""
        self._begun = False
        self._drop_newlines = True
        self._just_closed = False

    def push(self, text: str) -> Iterator[Piece]:
        """Yield what is certain so far; a possible prefix of a tag is held back."""
        self._held += text
        while True:
            found = self._next_tag()
            if found is None or (self._channel == "content" and (self._begun or found[0].strip())):
                break
            before, after = found
            if self._channel == "reasoning":
                yield from self._emit(before.rstrip("\n"))
            self._switch(after)
        if self._repeats_close():
            return
        keep = self._uncertain_tail()
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        yield from self._emit(ready)

    def finish(self) -> Iterator[Piece]:
        """Yield what was held back."""
        self._repeats_close()
        text, self._held = self._held, ""
        yield from self._emit(text)

    def _repeats_close(self) -> bool:
        """Drop closing tags right behind the one that closed; return whether more text may bring another."""
        if not self._just_closed:
            return False
        while self._held.lstrip().startswith(CLOSE):
            self._held = self._held.lstrip()[len(CLOSE) :]
        self._just_closed = CLOSE.startswith(self._held.lstrip())  # as nothing at all does
        return self._just_closed

    def _next_tag(self) -> tuple[str, str] | None:
        """Return the text before and after the tag that ends the current channel."""
        if self._channel == "content":
            before, found, after = self._held.partition(OPEN)
            return (before, after) if found else None
        close, (call, is_certain) = self._held.find(CLOSE), self._find_call()
        if close >= 0 and (call < 0 or close < call):
            return self._held[:close], self._held[close + len(CLOSE) :]
        return (self._held[:call], self._held[call:]) if call >= 0 and is_certain else None

    def _find_call(self) -> tuple[int, bool]:
        """Return where the tags of a call begin, -1 for nowhere, and whether all of them are there yet."""
        place = self._held.find(self._closers[0]) if self._closers else -1
        while place >= 0 and (found := begins(self._held[place:], self._closers)) is False:
            place = self._held.find(self._closers[0], place + 1)
        return place, place >= 0 and found is True

    def _switch(self, rest: str) -> None:
        self._channel = "content" if self._channel == "reasoning" else "reasoning"
        self._held, self._drop_newlines = rest, True
        self._begun = self._just_closed = self._channel == "content"

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
            call, _ = self._find_call()
            tails = [overlap(self._held, tag) for tag in (CLOSE, *self._closers[:1])]
            tail = max(*tails, len(self._held) - call if call >= 0 else 0, 0)
            body = self._held[: len(self._held) - tail]
            return len(self._held) - len(body.rstrip("\n"))
        if self._begun:
            return 0
        # An opening tag counts at the very beginning only, where white space may stand before it.
        body = self._held[: len(self._held) - overlap(self._held, OPEN)]
        return 0 if body.strip() else len(self._held)


class NemotronV3(ReasoningFormat):
    """The family's own format, under the names that the model card, TensorRT-LLM, vLLM, SGLang and Dynamo give it."""

    names = ("super_v3", "nano_v3", "nano-v3", "nemotron_v3", "nemotron-v3", "nemotron_3", "nemotron_nano")
    tags = (OPEN, CLOSE)
    end_tag = CLOSE
    template_switches = frozenset({"enable_thinking", "low_effort", "truncate_history_thinking"})
    own_switches = frozenset({"force_nonempty_content"})

    def opens(self, prompt: str) -> bool:
        """Return whether the prompt ends with an open tag, as the family's generation prompt does."""
        return prompt.rstrip().endswith(OPEN)

    def needs_content(self, switches: Mapping[str, Any]) -> bool:
        """Return whether the request forces content, or switched thinking off."""
        return switches.get("force_nonempty_content") is True or switches.get("enable_thinking") is False

    def reader(self, open_at_start: bool, closers: tuple[str, ...] = ()) -> ReasoningSplitter:
        """Return a splitter."""
        return ReasoningSplitter(open_at_start, closers)


register(NemotronV3())
