"""The qwen3_coder format of tool calls: XML-like tags around a function and its parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from trtnemo.formats import qwen3_coder_grammar as grammar
from trtnemo.formats.format import (
    CallableTool,
    CallBegun,
    CallGrown,
    CallPart,
    ToolCall,
    ToolFormat,
    ToolSchemas,
    register,
)
from trtnemo.formats.grammar import Rules
from trtnemo.formats.overlap import begins, overlap
from trtnemo.formats.qwen3_coder_progress import CallProgress
from trtnemo.formats.schema_values import as_mapping, typed

START, END = "<tool_call>", "</tool_call>"
FUNCTION, END_FUNCTION = "<function=", "</function>"
PARAMETER, END_PARAMETER = "<parameter=", "</parameter>"
_TAG = re.compile(f"{START}|{FUNCTION}")
_OPENING = re.compile(rf"{START}\s*{FUNCTION}")
# A tag ends a call after its function's end, or after a parameter's where that is missing; elsewhere it is text
_END = re.compile(rf"(?P<body>{END_FUNCTION}|{END_PARAMETER}|{FUNCTION}[^>\n]*>)\s*{END}")
_BARE_END = re.compile(rf"(?:{END_PARAMETER}|{FUNCTION}[^>\n]*>)(?P<body>\s*{END_FUNCTION})")
_LAST = re.compile(rf"\s*{END}")
# and a parameter ends before the next one, before its function's end, or where the text does
_PARAMETER_END = re.compile(rf"{END_PARAMETER}\s*(?={PARAMETER}|{END_FUNCTION}|$)")


class ToolSplitter:
    """Splits the answer's text at tool calls, whatever chunks it comes in.

    A call ends where its function ends, not at the first tag that an argument may hold. A function without the tag
    before it is a call too, where a tool has its name and it is closed, as in the released parsers. White space beside
    a call belongs to the format and is dropped. What is no call comes back as text; of a
    call that was cut off, what was certain of it stands.
    """

    def __init__(self, schemas: ToolSchemas) -> None:
        self._schemas = schemas
        self._held = ""
        self._space = ""
        self._opened = ""  # the tag before a call that is being read; a function without one begins with itself
        self._is_inside = False
        self._follows_call = False
        self._progress = CallProgress(schemas)
        self._sent: str | None = None  # of the call that is being read, None before it is told of

    def push(self, text: str) -> Iterator[str | CallPart]:
        """Yield what is certain so far."""
        self._held += text
        yield from self._drain(is_last=False)

    def finish(self) -> Iterator[str | CallPart]:
        """Yield what was held back; a call counts without its last tag, if its function is closed."""
        yield from self._drain(is_last=True)
        if self._space and not self._follows_call:
            yield self._space

    def _drain(self, *, is_last: bool) -> Iterator[str | CallPart]:
        """Read until more text is needed."""
        while self._held:
            found = self._inside(is_last) if self._is_inside else self._outside(is_last)
            if found is None:
                yield from self._grow()
                return
            yield from found

    def _grow(self) -> Iterator[CallPart]:
        """Yield what is certain of the call that is being read."""
        if not (self._is_inside and self._opened):
            return
        self._progress.advance(self._held)
        if self._progress.name is None:
            return
        if self._sent is None:
            self._space, self._follows_call, self._sent = "", True, ""
            yield CallBegun(self._progress.name)
        if len(self._progress.written) > len(self._sent):
            yield CallGrown(self._progress.written[len(self._sent) :])
            self._sent = self._progress.written

    def _keep_told(
        self, progress: CallProgress, found: list[str | ToolCall] | None, body: str
    ) -> list[str | ToolCall] | None:
        """Return what a block holds, so that what was certain of its first call stands, whatever came of it."""
        first = found[0] if found else None
        if progress.name is None or (isinstance(first, ToolCall) and first.arguments_json.startswith(progress.written)):
            return found
        if found and isinstance(first, ToolCall) and first.arguments == progress.arguments:
            return [ToolCall(first.name, first.arguments, f"{progress.written}}}"), *found[1:]]
        rest = progress.rest_of(body)
        if rest is None:
            return [ToolCall(progress.name, progress.arguments, progress.written)]
        return [ToolCall(progress.name, progress.arguments, f"{progress.written}}}"), *([rest] if rest else [])]

    def _end_call(self, call: ToolCall) -> list[CallPart]:
        """Return the rest of a call, of which a part may have been told."""
        sent, self._sent = self._sent, None
        begun: list[CallPart] = [] if sent is not None else [CallBegun(call.name)]
        rest = call.arguments_json[len(sent or "") :]
        return [*begun, *([CallGrown(rest)] if rest else []), call]

    def _outside(self, is_last: bool) -> list[str | CallPart] | None:
        """Return the text up to the next call, and enter that."""
        match = _TAG.search(self._held)
        if match is None:
            keep = 0 if is_last else max(overlap(self._held, START), overlap(self._held, FUNCTION))
            ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
            return list(self._text(ready)) if ready else None
        before, self._held = self._held[: match.start()], self._held[match.start() :]
        is_call = self._is_call(match[0])
        if is_call is None and not is_last:
            return list(self._text(before)) if before else None
        self._is_inside, self._opened = is_call is True, match[0] if match[0] == START else ""
        taken = len(self._opened) if is_call else len(match[0])
        text = before if is_call else before + match[0]
        self._held = self._held[taken:]
        return list(self._text(text))

    def _is_call(self, tag: str) -> bool | None:
        """Return whether the held text, which begins with a tag, begins a call; None where more of it may tell."""
        if tag == START:
            return begins(self._held, (START, FUNCTION))
        name, found, _ = self._held.removeprefix(FUNCTION).partition(">")
        if found or "\n" in name:
            return bool(found) and name.strip() in self._schemas
        return None

    def _inside(self, is_last: bool) -> list[str | CallPart] | None:
        """Return the call, or the text that turned out to be none."""
        end = (_END if self._opened else _BARE_END).search(self._held)
        again = _OPENING.search(self._held, 1)
        if again is not None and (end is None or again.start() < end.start()):  # another one begins
            first = self._first_end(again.start())
            cut = first if self._opened and 0 <= first < again.start() else again.start()
            return self._leave(cut, cut + len(END) if cut == first else cut)
        if end is not None:
            last = _LAST.match(self._held, end.end())
            if not self._opened and not is_last and last is None and END.startswith(self._held[end.end() :].lstrip()):
                return None  # the last tag may still come, and belongs to the call
            return self._leave(end.end("body"), last.end() if last and not self._opened else end.end())
        if not is_last:
            return None
        first = self._first_end(None)
        if self._opened and first >= 0:
            return self._leave(first, first + len(END))
        return self._leave(len(self._held), len(self._held), is_cut=not self._held.rstrip().endswith(END_FUNCTION))

    def _first_end(self, again: int | None) -> int:
        """Return where the first closing tag stands behind what is certain of the call; -1 for nowhere."""
        if self._opened:
            self._progress.advance(self._held[:again], is_whole=again is not None)
        return self._held.find(END, self._progress.place)

    def _leave(self, end: int, stop: int, *, is_cut: bool = False) -> list[str | CallPart]:
        """Return the call whose body ends at `end`, or the text up to `stop`, and go on from there."""
        body, whole, self._held = self._held[:end], self._held[:stop], self._held[stop:]
        self._is_inside = False
        progress, self._progress = self._progress, CallProgress(self._schemas)
        found = None if is_cut else parse_block(body, self._schemas)
        if self._opened:
            progress.advance(body, is_whole=not is_cut)
            found = self._keep_told(progress, found, body)
        if found is None:
            return list(self._text(self._opened + whole))
        pieces: list[str | CallPart] = []
        for item in found:
            if isinstance(item, str):
                pieces += self._text(item)
            else:
                self._space, self._follows_call = "", True
                pieces += self._end_call(item)
        return pieces

    def _text(self, text: str) -> Iterator[str]:
        """Yield text but for the white space at its end, which waits for what follows."""
        text = self._space + text
        if self._follows_call:
            text = text.lstrip()
        ready = text.rstrip()
        self._space = text[len(ready) :]
        if ready:
            self._follows_call = False
            yield ready


def parse_block(body: str, schemas: ToolSchemas) -> list[str | ToolCall] | None:
    """Return the calls between the tool_call tags, and what is said between them; None where there is no call.

    One block should hold one function; models write several, with prose between them.
    """
    call = parse_tool_call(body, schemas)
    if call is not None:
        return [call]
    pieces: list[str | ToolCall] = []
    for part in re.split(rf"(?<={END_FUNCTION})", body):
        prose, found, function = part.partition(FUNCTION)
        pieces += [prose] if prose.strip() else []
        if found:
            call = parse_tool_call(found + function, schemas)
            if call is None:
                return None
            pieces.append(call)
    return pieces if any(isinstance(piece, ToolCall) for piece in pieces) else None


def parse_tool_call(body: str, schemas: ToolSchemas) -> ToolCall | None:
    """Return the call written between the tool_call tags, or None when it is none.

    A missing end of a parameter or of the function is tolerated, as SGLang does; anything else around or between them
    is not. Values take the types of the schema; what does not fit its type stays text. Nothing is ever evaluated.
    """
    text = body.strip()
    head, found, rest = text.partition(">")
    name = head.removeprefix(FUNCTION).strip()
    if not found or not head.startswith(FUNCTION) or not name:
        return None
    rest = rest.strip()
    rest = rest.removesuffix(END_FUNCTION)
    arguments: dict[str, Any] = {}
    schema = as_mapping(schemas.get(name))
    properties = as_mapping(schema.get("properties"))
    while rest.strip():
        parameter = _take_parameter(rest)
        if parameter is None:
            return None
        key, value, rest = parameter
        arguments[key] = typed(value, as_mapping(properties.get(key)), schema)
    return ToolCall(name, arguments)


def _take_parameter(text: str) -> tuple[str, str, str] | None:
    """Return (name, value, what follows) of the parameter that text begins with."""
    head, found, rest = text.lstrip().partition(">")
    name = head.removeprefix(PARAMETER).strip()
    if not found or not head.startswith(PARAMETER) or not name:
        return None
    closed, again = _PARAMETER_END.search(rest), rest.find("\n" + PARAMETER)
    end, stop = (closed.start(), closed.end()) if closed else (len(rest), len(rest))
    if 0 <= again < end:  # the next one begins, and this one was not closed
        end = stop = again
    return name, rest[:end].removeprefix("\n").removesuffix("\n"), rest[stop:]


class Qwen3Coder(ToolFormat):
    """The format that Nemotron-3 writes calls in."""

    names = ("qwen3_coder", "qwen3-coder")
    tags = (START, END, "<tool_response>", "</tool_response>")
    opening = (START, FUNCTION)

    def reader(self, schemas: ToolSchemas) -> ToolSplitter:
        """Return a splitter."""
        return ToolSplitter(schemas)

    def calls(self, rules: Rules, tools: Sequence[CallableTool], *, many: bool, text: bool) -> str:
        """Return the grammar of calls."""
        return (grammar.texts_and_calls if text else grammar.calls)(rules, tools, many=many)

    def unkept(self, tool: CallableTool) -> list[str]:
        """Return what is not kept: keywords of texts that no pattern can say."""
        return grammar.unkept(tool)


register(Qwen3Coder())
