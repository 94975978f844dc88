"""What a model wrote, separated: thinking, answer and tool calls, in one way for streams and whole texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from trtnemo.formats.format import CallBegun, CallPart, Piece, ReasoningFormat, ToolCall, ToolFormat, ToolSchemas

Part = Piece | CallPart


@dataclass(frozen=True)
class AnswerFormat:
    """How one request's output is to be read.

    reasoning: None where thinking stays in the text; open_at_start: the prompt ended inside a think block;
    needs_content: an answer without content gets its thinking as content; tools: None where calls are not read;
    schemas: those of the request's tools; maximum_calls: calls kept; calls_end_thinking: whether a call inside an open
    thought is one, which it is not where the answer keeps a grammar.
    """

    reasoning: ReasoningFormat | None = None
    open_at_start: bool = False
    needs_content: bool = False
    tools: ToolFormat | None = None
    schemas: ToolSchemas = field(default_factory=dict)
    maximum_calls: int | None = None
    calls_end_thinking: bool = True


class AnswerParser:
    """Reads one output in chunks of any size; the parts add up to the same, however it is cut."""

    def __init__(self, form: AnswerFormat) -> None:
        self._form = form
        closers = form.tools.opening if form.tools is not None and form.calls_end_thinking else ()
        self._reasoning = form.reasoning.reader(form.open_at_start, closers) if form.reasoning else None
        self._tools = form.tools.reader(form.schemas) if form.tools else None
        self._waiting: list[Piece] | None = [] if form.needs_content and form.reasoning else None
        self.calls = self.ended = 0
        self.is_thinking = form.open_at_start and form.reasoning is not None

    def push(self, text: str) -> Iterator[Part]:
        """Yield what is certain so far."""
        pieces = self._reasoning.push(text) if self._reasoning else [Piece("content", text)] if text else []
        yield from self._read(pieces)

    def finish(self) -> Iterator[Part]:
        """Yield what was held back."""
        yield from self._read(self._reasoning.finish() if self._reasoning else ())
        if self._tools:
            yield from self._count(self._tools.finish())
        for piece in self._waiting or ():  # nothing but thinking came: it is the answer
            yield Piece("content", piece.text)

    def _read(self, pieces: Iterable[Piece]) -> Iterator[Part]:
        for piece in pieces:
            if piece.channel == "content":
                self.is_thinking = False
                yield from self._count(self._tools.push(piece.text) if self._tools else [piece.text])
            elif self._waiting is None:
                yield piece
            else:
                self._waiting.append(piece)

    def _count(self, parts: Iterable[str | CallPart]) -> Iterator[Part]:
        for part in parts:
            self.calls += isinstance(part, CallBegun)
            most = self._form.maximum_calls
            if not isinstance(part, str) and most is not None and self.calls > most:
                continue
            self.ended += isinstance(part, ToolCall)
            if self._waiting is not None and (not isinstance(part, str) or part.strip()):
                yield from self._waiting
                self._waiting = None
            yield Piece("content", part) if isinstance(part, str) else part


@dataclass
class Answer:
    """A whole output, separated."""

    reasoning: str = ""
    content: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)

    def add(self, part: Part) -> None:
        """Append a part."""
        if isinstance(part, ToolCall):
            self.tool_calls.append(part)
        elif isinstance(part, Piece) and part.channel == "reasoning":
            self.reasoning += part.text
        elif isinstance(part, Piece):
            self.content += part.text


def read_answer(text: str, form: AnswerFormat) -> Answer:
    """Return a whole output, separated."""
    parser, answer = AnswerParser(form), Answer()
    for part in (*parser.push(text), *parser.finish()):
        answer.add(part)
    return answer
