"""Responses that can be asked for again, under caps in number, bytes and age."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from trtnemo.errors import RequestError, ResponseNotFoundError
from trtnemo.server.responses.items import messages_of

encode_json = msgspec.json.Encoder().encode
Item = dict[str, Any]


@dataclass
class Stored:
    """A response, the items that were asked, and the messages of its whole conversation, both as JSON.

    `cancel` ends one that is running.
    """

    owner: str
    response: Callable[[], Item]
    items: bytes
    messages: bytes
    cancel: Callable[[], None] | None = None
    created: float = 0.0
    nbytes: int = field(default=0)

    def conversation(self) -> bytes:
        """Return the JSON of the messages that a response to this one begins with; raises RequestError."""
        response = self.response()
        if response["status"] in ("queued", "in_progress"):
            raise RequestError("the response is not complete yet", parameter="previous_response_id")
        said = encode_json(messages_of(response["output"]))
        return b"[%b]" % b",".join(text[1:-1] for text in (self.messages, said) if text != b"[]")


class ResponseStore:
    """Keeps the newest responses; `most` 0 keeps none. What one key stored, no other finds."""

    def __init__(
        self, most: int, most_bytes: int, most_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._most_bytes, self._most_seconds, self._clock = most, most_bytes, most_seconds, clock
        self._kept: OrderedDict[str, Stored] = OrderedDict()
        self._bytes = 0

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        return self._most > 0

    def put(self, response_id: str, stored: Stored) -> None:
        """Keep a response, under its id; the oldest ones make room."""
        if not self.is_on:
            return
        stored.created = self._clock()
        stored.nbytes = _size(stored)
        self._kept[response_id] = stored
        self._bytes += stored.nbytes
        self._trim()

    def settle(self, response_id: str, response: Item) -> None:
        """Keep what a response is in the end, and nothing of what made it, unless it was forgotten meanwhile."""
        stored = self._kept.get(response_id)
        if stored is None:
            return
        stored.response, stored.cancel = lambda: response, None
        self._bytes -= stored.nbytes
        stored.nbytes = _size(stored)
        self._bytes += stored.nbytes
        self._trim()

    def get(self, response_id: str, owner: str, parameter: str = "response_id") -> Stored:
        """Return a response of a key, which `parameter` names; raises ResponseNotFoundError."""
        self._trim()
        found = self._kept.get(response_id)
        if found is None or found.owner != owner:
            raise ResponseNotFoundError(f"no response '{response_id[:128]}' is kept here", parameter=parameter)
        return found

    def delete(self, response_id: str, owner: str) -> None:
        """Forget a response; raises ResponseNotFoundError."""
        self.get(response_id, owner)
        self.forget(response_id)

    def forget(self, response_id: str) -> None:
        """Drop a response, if it is there, and end it where it runs."""
        dropped = self._kept.pop(response_id, None)
        if dropped is not None:
            self._bytes -= dropped.nbytes
            if dropped.cancel is not None:  # nobody could end it any more
                dropped.cancel()

    def _trim(self) -> None:
        oldest = self._clock() - self._most_seconds
        while self._kept:
            first = next(iter(self._kept))
            is_old = self._kept[first].created < oldest
            if not (is_old or len(self._kept) > self._most or self._bytes > self._most_bytes):
                return
            self.forget(first)


def _size(stored: Stored) -> int:
    return len(encode_json(stored.response())) + len(stored.items) + len(stored.messages)
