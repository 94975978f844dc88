"""What is certain of a qwen3_coder call that is still being written: its name, and the beginning of its arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from trtnemo.formats.overlap import overlap
from trtnemo.formats.schema_values import as_mapping, kinds_of, typed

FUNCTION, END_FUNCTION = "<function=", "</function>"
PARAMETER, END_PARAMETER = "<parameter=", "</parameter>"
# A parameter's end is settled by what follows it; `qwen3_coder` reads the same end in the whole call.
_SETTLED = re.compile(rf"{END_PARAMETER}\s*(?={PARAMETER}|{END_FUNCTION})")
# Texts behind which a value may turn out to be over, or its call to be another one.
_STOPS = (END_PARAMETER, END_FUNCTION, "<tool_call>", "</tool_call>", f"\n{PARAMETER}", FUNCTION)


class CallProgress:
    """Follows one call; `advance` is given all that was written of it, each time from its beginning."""

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._schemas = schemas
        self.name: str | None = None
        self.written = ""
        self._done: list[tuple[str, Any]] = []
        self._is_whole = False
        self.place = 0  # where the first parameter that is not settled begins

    def advance(self, body: str, *, is_whole: bool = False) -> None:
        """Take what is certain now; `written` only ever grows, and what it holds is never taken back.

        `is_whole`: another tag follows the body, so that nothing at its end waits for more text.
        """
        self._is_whole = is_whole
        if self.name is None and not self._read_name(body):
            return
        while self._settle(body):
            pass

    def rest_of(self, body: str) -> str | None:
        """Return what follows the function in a whole body, None where the function never came to its end."""
        following = body[self.place :].lstrip()
        return following.removeprefix(END_FUNCTION).strip() if following.startswith(END_FUNCTION) else None

    @property
    def arguments(self) -> dict[str, Any]:
        """The values that are settled; of two of one name the later one."""
        return dict(self._done)

    def _read_name(self, body: str) -> bool:
        text = body.lstrip()
        head, found, rest = text.partition(">")
        name = head.removeprefix(FUNCTION).strip()
        following = rest.lstrip()
        # without a parameter that begins, what follows may show that this is no call
        if not found or not head.startswith(FUNCTION) or not name or not following.startswith(PARAMETER):
            return False
        if ">" not in following:
            return False
        self.name, self.place = name, len(body) - len(rest)
        return True

    def _settle(self, body: str) -> bool:
        """Take one parameter in, or the beginning of its text; return whether another one may follow."""
        text = body[self.place :].lstrip()
        head, found, rest = text.partition(">")
        key = head.removeprefix(PARAMETER).strip()
        if not found or not head.startswith(PARAMETER) or not key or "\n" in head:
            return False
        start = f"{'{' if not self._done else ', '}{json.dumps(key, ensure_ascii=False)}: "
        closed, again = _SETTLED.search(rest), rest.find(f"\n{PARAMETER}")
        end, stop = (closed.start(), closed.end()) if closed else (-1, -1)
        if again >= 0 and (end < 0 or again < end):
            end = stop = again
        base = len(_written(self._done))
        if end < 0:
            self._grow(base, start, rest, key)
            return False
        value = rest[:end].removeprefix("\n").removesuffix("\n")
        self._done.append((key, typed(value, self._schema(key), self._schemas.get(self.name or "", {}))))
        self.written = _written(self._done)
        self.place = len(body) - len(rest) + stop
        return True

    def _grow(self, base: int, start: str, rest: str, key: str) -> None:
        kinds = kinds_of(self._schema(key), self._schemas.get(self.name or "", {}))
        if kinds not in ([], ["string"]):
            return
        ends = [rest.find(stop) for stop in _STOPS]
        sure = min([end for end in ends if end >= 0], default=len(rest) - self._uncertain(rest))
        text = rest[:sure].removeprefix("\n").rstrip("\n")
        if "null".startswith(text.strip().lower()):  # which would be no text
            return
        self.written = self.written[:base] + start + json.dumps(text, ensure_ascii=False)[:-1]

    def _uncertain(self, rest: str) -> int:
        return 0 if self._is_whole else max(overlap(rest, stop) for stop in _STOPS)

    def _schema(self, key: str) -> Mapping[str, Any]:
        schema = as_mapping(self._schemas.get(self.name or ""))
        return as_mapping(as_mapping(schema.get("properties")).get(key))


def _written(done: Sequence[tuple[str, Any]]) -> str:
    """Return the arguments so far, without the brace that ends them; of a name that comes twice JSON reads the last."""
    pairs = [f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}" for key, value in done]
    return "{" + ", ".join(pairs) if pairs else ""
