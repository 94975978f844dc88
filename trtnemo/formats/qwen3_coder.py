"""The qwen3_coder format of tool calls: XML-like tags around a function and its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trtnemo.formats.format import ToolCall, ToolFormat, ToolSchemas, register
from trtnemo.formats.overlap import overlap
from trtnemo.formats.schema_values import as_mapping, typed

START, END = "<tool_call>", "</tool_call>"
FUNCTION, END_FUNCTION = "<function=", "</function>"
PARAMETER, END_PARAMETER = "<parameter=", "</parameter>"


class ToolSplitter:
    """Splits the answer's text at tool calls, whatever chunks it comes in.

    White space beside a call belongs to the format and is dropped. What stands between the tags and is not a call comes
    back as text, and so does a call that was cut off.
    """

    def __init__(self, schemas: ToolSchemas) -> None:
        self._schemas = schemas
        self._held = ""
        self._space = ""
        self._is_inside = False
        self._follows_call = False

    def push(self, text: str) -> Iterator[str | ToolCall]:
        """Yield what is certain so far."""
        self._held += text
        while True:
            if self._is_inside:
                before, found, after = self._held.partition(END)
                again = before.rfind(START)
                if again >= 0:  # the first tag was opened and never closed
                    yield from self._text(START + before[:again])
                    self._held = self._held[again + len(START) :]
                    continue
                if not found:
                    return
                self._is_inside, self._held = False, after
                yield from self._close(before, END)
            else:
                before, found, after = self._held.partition(START)
                if not found:
                    break
                self._is_inside, self._held = True, after
                yield from self._text(before)
        keep = overlap(self._held, START)
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        yield from self._text(ready)

    def finish(self) -> Iterator[str | ToolCall]:
        """Yield what was held back; a call counts without its last tag, if its function is closed."""
        text, self._held = self._held, ""
        if self._is_inside:
            is_closed = text.rstrip().endswith(END_FUNCTION)  # inside an argument it may stand as code
            yield from self._close(text, "") if is_closed else self._text(START + text)
        else:
            yield from self._text(text)
        if self._space and not self._follows_call:
            yield self._space

    def _close(self, body: str, end: str) -> Iterator[str | ToolCall]:
        call = parse_tool_call(body, self._schemas)
        if call is None:
            yield from self._text(START + body + end)
            return
        self._space, self._follows_call = "", True
        yield call

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
    properties = as_mapping(schemas.get(name, {}).get("properties"))
    while rest.strip():
        parameter = _take_parameter(rest)
        if parameter is None:
            return None
        key, value, rest = parameter
        arguments[key] = typed(value, as_mapping(properties.get(key)))
    return ToolCall(name, arguments)


def _take_parameter(text: str) -> tuple[str, str, str] | None:
    """Return (name, value, what follows) of the parameter that text begins with."""
    head, found, rest = text.lstrip().partition(">")
    name = head.removeprefix(PARAMETER).strip()
    if not found or not head.startswith(PARAMETER) or not name:
        return None
    ends = [(rest.find(END_PARAMETER), len(END_PARAMETER)), (rest.find("\n" + PARAMETER), 0)]
    end, skip = min((item for item in ends if item[0] >= 0), default=(len(rest), 0))
    value = rest[:end]
    return name, value.removeprefix("\n").removesuffix("\n"), rest[end + skip :]


class Qwen3Coder(ToolFormat):
    """The format that Nemotron-3 writes calls in."""

    names = ("qwen3_coder", "qwen3-coder")
    tags = (START, END, "<tool_response>", "</tool_response>")
    start = START

    def reader(self, schemas: ToolSchemas) -> ToolSplitter:
        """Return a splitter."""
        return ToolSplitter(schemas)


register(Qwen3Coder())
