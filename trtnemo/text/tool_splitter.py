"""Tool calls taken out of the answer while it arrives."""

from __future__ import annotations

from collections.abc import Iterator

from trtnemo.text.stop import overlap
from trtnemo.text.tool_call import END, END_FUNCTION, START, ToolCall, ToolSchemas, parse_tool_call


class ToolSplitter:
    """Splits the answer's text at tool calls, whatever chunks it comes in.

    White space beside a call belongs to the format and is dropped. What stands between the tags and is no call comes
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
