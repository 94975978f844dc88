"""One request passed on, byte for byte, and its answer passed back as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from trtnemo.front.errors import error_bytes
from trtnemo.front.meter import count_tokens
from trtnemo.gateway.metrics import GatewayMetrics
from trtnemo.gateway.options import GatewayOptions
from trtnemo.gateway.repair import StreamRepair, has_the_fault, repair_for
from trtnemo.gateway.upstream import Pool, Upstream
from trtnemo.gateway.usage import UsageReader

# RFC 9110, 7.6.1: of one connection alone; the others are ours to say
_HOP = frozenset(b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding".split())
_OURS = _HOP | set(b"upgrade host content-length authorization x-api-key accept-encoding expect x-request-id".split())
Pairs = list[tuple[bytes, bytes]]


class Forward:
    """An ASGI application that passes requests on to a pool."""

    def __init__(
        self, pool: Pool, client: httpx.AsyncClient, options: GatewayOptions, metrics: GatewayMetrics, key: str | None
    ) -> None:
        self._pool, self._client, self._options, self._metrics = pool, client, options, metrics
        self._key = key
        self._answers: set[asyncio.Task[None]] = set()
        self._cut: str | None = None
        self._taken = 0

    def cut(self, reason: str) -> None:
        """End all requests, with a reason that their clients can read."""
        self._cut = reason
        for task in self._answers:
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if self._taken >= self._options.most_requests:
            reason = f"{self._options.most_requests} requests run or wait already; send it again later"
            await _answer(send, 429, reason, "rate_limit_exceeded", again=1)
            return
        self._taken += 1  # before its body is read, which takes as long as its client likes
        try:
            await self._serve(scope, receive, send)
        finally:
            self._taken -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        sender = _Sender(send)
        work = asyncio.ensure_future(self._pass_on(scope, body, sender))
        leaving = asyncio.ensure_future(_left(receive))
        self._answers.add(work)
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientDisconnect
            if work.cancelled():
                await sender.fail(503, self._cut or "the gateway is stopping", "upstream_unavailable")
            else:
                work.result()
        except _CutOffError:
            return  # the connection is closed: its client sees that the answer is not whole
        finally:
            count_tokens(sender.tokens)  # here: the work is a task with a context of its own
            self._answers.discard(work)
            leaving.cancel()
            work.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)

    async def _pass_on(self, scope: Scope, body: bytes, sender: _Sender) -> None:
        """Try upstreams in turn until one begins to answer; after that none is tried again."""
        tried: list[Upstream] = []
        while (upstream := self._pool.choose(tried)) is not None:
            tried.append(upstream)
            upstream.outstanding += 1
            try:
                if await self._ask(upstream, scope, body, sender):
                    return
            finally:
                upstream.outstanding -= 1
        reason = f"no server is ready: {self._pool.reasons}"
        self._metrics.requests.labels("none", "503").inc()
        await sender.fail(503, reason, "upstream_unavailable")

    async def _ask(self, upstream: Upstream, scope: Scope, body: bytes, sender: _Sender) -> bool:
        """Return whether the upstream answered, or began to; one that could not be reached is ejected."""
        options, began = self._options, time.monotonic()
        patience = httpx.Timeout(options.silence_seconds, connect=10.0, read=options.first_byte_seconds, pool=None)
        query = scope["query_string"].decode("latin-1")
        path = scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or scope["path"]
        url = f"{upstream.base}{path}{'?' if query else ''}{query}"
        asked = self._client.build_request(
            scope["method"], url, headers=self._headers(scope), content=body or None, timeout=patience
        )
        try:
            answer = await self._send(asked)
        except httpx.ReadTimeout:
            upstream.eject("a request got no first byte in time")
            await sender.fail(504, "the server has not begun to answer in time", "upstream_timeout")
            return True
        except httpx.HTTPError as error:  # it has not read the request, or not begun to answer it
            upstream.eject(f"it does not answer ({type(error).__name__})")
            return False
        try:
            self._metrics.first_byte.observe(time.monotonic() - began)
            self._metrics.requests.labels(upstream.base, str(answer.status_code)).inc()
            if answer.status_code == 503:
                upstream.eject("it answers 503")
            await self._answer(upstream, answer, sender, self._repair(upstream, scope, body))
        finally:
            await answer.aclose()
        return True

    async def _send(self, asked: httpx.Request) -> httpx.Response:
        """Return an answer that has begun; a kept connection that its server closes just now is no loss of it."""
        try:
            return await self._client.send(asked, stream=True)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            return await self._client.send(asked, stream=True)

    def _repair(self, upstream: Upstream, scope: Scope, body: bytes) -> StreamRepair | None:
        """Return what mends the stream of an upstream that has the fault, None where nothing is to be mended."""
        asked = self._options.repairs
        is_chat = scope["path"].endswith("/chat/completions")
        is_wanted = is_chat and (asked == "always" or (asked == "auto" and has_the_fault(upstream)))
        return repair_for(body) if is_wanted else None

    async def _answer(
        self, upstream: Upstream, answer: httpx.Response, sender: _Sender, repair: StreamRepair | None
    ) -> None:
        is_stream = answer.headers.get("content-type", "").startswith("text/event-stream")
        repair = repair if is_stream else None
        usage = UsageReader() if self._options.tokens_per_minute is not None else None
        left_out = _HOP if repair is None else _HOP | {b"content-length"}
        await sender.start(answer.status_code, _passed(answer.headers.raw, left_out), is_stream=is_stream)
        # httpx reads this when the body begins; a timer of our own for each piece cost a fifth of an event's time
        answer.request.extensions["timeout"]["read"] = self._options.silence_seconds
        try:
            async for piece in answer.aiter_raw():
                await sender.body(piece if repair is None else repair.feed(piece))
                if usage is not None:
                    usage.feed(piece)
                if answer.status_code == 200:
                    self._pool.saw_token(upstream)
            if repair is not None:
                await sender.body(repair.rest())
        except httpx.HTTPError as error:
            upstream.eject(f"an answer was not ended ({type(error).__name__})")
            self._metrics.stream_failures.inc()
            await sender.fail(502, "the server was lost amid its answer", "upstream_lost")
            return
        finally:
            if usage is not None:
                sender.tokens = usage.tokens
        await sender.end()

    def _headers(self, scope: Scope) -> Pairs:
        key = [] if self._key is None else [(b"authorization", f"Bearer {self._key}".encode())]
        request_id = scope.get("state", {}).get("request_id", "")
        kept = _passed(scope["headers"], _OURS)
        return [*kept, (b"accept-encoding", b"identity"), (b"x-request-id", request_id.encode("latin-1")), *key]


class _CutOffError(Exception):
    """A whole answer has begun and will not be ended."""


class _Sender:
    """Sends an answer, or the error in its place where it has not begun, or an event where it is a stream."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = self._is_stream = False
        self.tokens = 0

    async def start(self, status: int, headers: Pairs, *, is_stream: bool) -> None:
        """Begin."""
        self._has_begun, self._is_stream = True, is_stream
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def body(self, piece: bytes) -> None:
        """Go on."""
        if piece:
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self) -> None:
        """End."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def fail(self, status: int, reason: str, code: str) -> None:
        """Tell an error; raises where nothing can be told any more."""
        if not self._has_begun:
            await _answer(self._send, status, reason, code, again=1 if status == 503 else None)
        elif self._is_stream:  # and no [DONE], which would say that the answer is whole
            await self.body(b"\n\ndata: %b\n\n" % error_bytes(reason, status, code))
            await self.end()
        else:
            raise _CutOffError


async def _answer(send: Send, status: int, reason: str, code: str, again: int | None = None) -> None:
    body = error_bytes(reason, status, code)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"retry-after", str(again).encode())] if again is not None else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _passed(headers: Iterable[tuple[bytes, bytes]], left_out: frozenset[bytes]) -> Pairs:
    """Return headers that go on; those that Connection names are of this connection alone too."""
    given = list(headers)
    named = {
        part.strip().lower() for name, value in given if name.lower() == b"connection" for part in value.split(b",")
    }
    gone = left_out | named
    return [(name, value) for name, value in given if name.lower() not in gone]
