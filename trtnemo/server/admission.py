"""How many sequences may run or wait at once; who comes later is refused before an answer begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from trtnemo.errors import BusyError, RequestError


class Admission:
    """Places for sequences, all of them taken and given back on the event loop; `most` None is any number."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.taken = 0

    def take(self, count: int) -> Places:
        """Return so many places; raises RequestError when there never are as many, BusyError when others hold them."""
        self.require_possible(count)
        self.require(count)
        self.taken += count
        return Places(self, count)

    def require_possible(self, count: int) -> None:
        """Raise RequestError where there never are so many places."""
        if self.most is not None and count > self.most:
            raise RequestError(
                f"the request asks for {count} choices at once; this server holds {self.most}, run or waiting",
                remedy="Ask for fewer choices in one request, or raise cpu.max_waiting",
            )

    def require(self, count: int = 1) -> None:
        """Raise BusyError when so many places are not free now."""
        if self.most is not None and self.taken + count > self.most:
            raise BusyError(f"{self.taken} requests run or wait already", remedy="Send it again later")


class Places:
    """Places of one request, until they are given back."""

    def __init__(self, admission: Admission, count: int) -> None:
        self._admission = admission
        self._count = count

    def give_back(self) -> None:
        """Give them back; a second time changes nothing."""
        self._admission.taken -= self._count
        self._count = 0


class EventStream(StreamingResponse):
    """Server-sent events of a request that holds places until they were sent, or until nobody listens any more.

    After so many seconds without an event a comment is sent, so that no proxy takes the connection for dead.
    """

    def __init__(self, content: AsyncIterator[bytes], places: Places, comment_seconds: float) -> None:
        super().__init__(content, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._places = places
        self._comment_seconds = comment_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Not in the generator: one that is never begun has no end.
            self._places.give_back()

    async def stream_response(self, send: Send) -> None:
        """Send what comes, and comments where nothing does."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        pulse = asyncio.ensure_future(self._comment(send))
        try:
            async for chunk in self.body_iterator:
                self._sent = time.monotonic()
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            pulse.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _comment(self, send: Send) -> None:
        self._sent = time.monotonic()
        while True:
            silent = time.monotonic() - self._sent
            if silent >= self._comment_seconds:
                await send({"type": "http.response.body", "body": b": waiting\n\n", "more_body": True})
                self._sent, silent = time.monotonic(), 0.0
            await asyncio.sleep(self._comment_seconds - silent)
