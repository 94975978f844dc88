"""One connection: uvicorn's protocol over httptools, with a bound on everything that a client may keep waiting."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from trtnemo.front.errors import error_bytes

LARGEST_HEAD = 1 << 16
logger = logging.getLogger(__name__)
logger.setLevel(logging.ERROR)


class BoundedProtocol(HttpToolsProtocol):
    """Refuses connections above a number, and closes those whose head or body does not arrive in time.

    `max_connections`, `header_seconds` and `body_seconds` are set on a subclass, made by `bounded`.
    """

    max_connections = 1024
    header_seconds = 10.0
    body_seconds = 60.0

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.logger = logger  # uvicorn's own has a line for every client that speaks no HTTP
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._is_in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or tell it that there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._close_with(503, "too many connections; try again later", "too_many_connections")
            return
        self._expect(self.header_seconds, "the request's head did not arrive in time")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._cancel()
        if self._stuck is not None:
            self._stuck.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head may have so many."""
        self._head_bytes += len(data) if self._is_in_head else 0
        super().data_received(data)
        if self._is_in_head and self._head_bytes > LARGEST_HEAD and not self.transport.is_closing():
            self._close_with(431, f"the request's head is longer than {LARGEST_HEAD} bytes")
            return
        is_idle = self.cycle is None or self.cycle.response_complete
        if self._timer is None and is_idle and not self.transport.is_closing():
            # something came, and no request with it: uvicorn's own timer is gone
            self._expect(self.header_seconds, "the request's head did not arrive in time")

    def pause_writing(self) -> None:
        """Give a client that does not read so much time."""
        super().pause_writing()
        self._stuck = self.loop.call_later(self.body_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: it reads again."""
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self._expect(self.header_seconds, "the request's head did not arrive in time")

    def on_headers_complete(self) -> None:
        """Begin its body."""
        self._is_in_head = False
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > LARGEST_HEAD:
            self._close_with(431, f"the request's head is longer than {LARGEST_HEAD} bytes")
            return
        names = [name for name, _ in self.headers]
        if b"content-length" in names and b"transfer-encoding" in names:
            # RFC 9112, 6.3: two lengths may hide a second request
            self._close_with(400, "a request has either Content-Length or Transfer-Encoding")
            return
        self._expect(self.body_seconds, "the request's body did not arrive in time")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._cancel()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the shape of every other refusal."""
        self._close_with(400, "this is not an HTTP/1.1 request")

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: the request is answered as one without an upgrade."""

    def _expect(self, seconds: float, reason: str) -> None:
        self._cancel()
        self._timer = self.loop.call_later(seconds, self._close_with, 408, reason)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_with(self, status: int, reason: str, code: str | None = None) -> None:
        self._cancel()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = error_bytes(reason, status, code)
            head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()


def bounded(max_connections: int, header_seconds: float, body_seconds: float) -> type[BoundedProtocol]:
    """Return the protocol with these bounds."""
    bounds = {"max_connections": max_connections, "header_seconds": header_seconds, "body_seconds": body_seconds}
    return type("Bounded", (BoundedProtocol,), bounds)
