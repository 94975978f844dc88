"""A chat's answer as stretches of one kind: thinking, text, calls; what APIs with items and blocks are made of."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from trtnemo.formats.format import CallPart, Piece
from trtnemo.server.answer.collect import stream_all
from trtnemo.server.answer.delta import Delta
from trtnemo.server.answer.usage import NO_COUNTS, Counts, add_counts
from trtnemo.server.chat import ChatCall
from trtnemo.text import AnswerParser

Kind = Literal["reasoning", "content"]


@dataclass(frozen=True)
class Begun:
    """A stretch of text begins."""

    kind: Kind


@dataclass(frozen=True)
class Grown:
    """It goes on."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Ended:
    """It is over; `text` is all of it."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Over:
    """The answer is over: why, what it took, how many of its tokens were thinking, and the stop string, if one came."""

    reason: str
    counts: Counts
    reasoning_tokens: int
    stop: str | None = None


Stretch = Begun | Grown | Ended | CallPart | Over


class Stretches:
    """Puts the parts of one answer together, in the order in which they came."""

    def __init__(self, parser: AnswerParser) -> None:
        self._parser = parser
        self._kind: Kind | None = None
        self._texts: list[str] = []
        self._counts = NO_COUNTS
        self._reasoning_tokens = 0

    def push(self, delta: Delta) -> list[Stretch]:
        """Return what a delta brings."""
        self._counts = add_counts((self._counts, delta.counts))
        found: list[Stretch] = []
        for part in (*self._parser.push(delta.text), *(self._parser.finish() if delta.finish_reason else ())):
            if not isinstance(part, Piece):
                found += [*self._end(), part]
                continue
            if part.channel != self._kind:
                found += [*self._end(), Begun(part.channel)]
                self._kind = part.channel
            self._texts.append(part.text)
            found.append(Grown(part.channel, part.text))
        if self._parser.is_thinking:
            self._reasoning_tokens += delta.counts.generated
        if delta.finish_reason:
            found += [*self._end(), Over(delta.finish_reason, self._counts, self._reasoning_tokens, delta.stop)]
        return found

    def _end(self) -> list[Stretch]:
        if self._kind is None:
            return []
        ended = Ended(self._kind, "".join(self._texts))
        self._kind, self._texts = None, []
        return [ended]


async def stretches_of(call: ChatCall) -> AsyncGenerator[Stretch, None]:
    """Yield the stretches of a call with one choice as they come; raises EngineError."""
    stretches = Stretches(AnswerParser(call.format))
    async with aclosing(stream_all(call.context, call.jobs)) as deltas:
        async for _, delta in deltas:
            for stretch in stretches.push(delta):
                yield stretch
