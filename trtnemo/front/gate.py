"""The gate before every route: request ids, hosts, origins, keys, limits, content types, sizes, and the log."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trtnemo.front.access.keys import METRICS, KeyFile, key_in
from trtnemo.front.access.limits import KeyLimits, LimitError
from trtnemo.front.access_log import AccessLog, AccessRecord
from trtnemo.front.errors import error_body, shortened
from trtnemo.front.exposure import is_address
from trtnemo.front.meter import METER, Meter

ANONYMOUS = "-"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:@/+=-]{1,128}")
_RELOAD_SECONDS = 1.0


@dataclass(frozen=True)
class GateRules:
    """What a request must keep. open_paths need no key; largest_body and all_bodies are in bytes.

    is_local: without keys, for this machine alone: a page of elsewhere may have a name that leads here, and a Host that
    is a name is refused but for localhost.
    """

    keys: KeyFile | None = None
    limits: KeyLimits | None = None
    open_paths: Collection[str] = ("/health", "/ready")
    open_prefix: str | None = None
    metrics_open: bool = False
    trusted_hosts: Collection[str] = ()
    is_local: bool = False
    largest_body: int = 1 << 22
    all_bodies: int = 1 << 28


class Gate:
    """A plain ASGI layer: Starlette's own base class would hide a client's disconnect from endpoints."""

    def __init__(
        self,
        app: ASGIApp,
        rules: GateRules,
        log: AccessLog,
        warn: Callable[[str], None] = lambda _: None,
        count: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`warn` hears what an operator should know, `count` the status of each refusal."""
        self._app, self._rules, self._log, self._warn, self._count = app, rules, log, warn, count
        self._trusted = {name.lower().strip("[]") for name in rules.trusted_hosts}
        self._checked = 0.0
        self._held = 0  # bytes of all bodies that are not read to their end yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        passing = _Passing(self._log, scope, headers, receive, send, self._hold)
        try:
            self._admit(passing)
        except _RefusedError as refused:
            await passing.refuse(refused)
            self._count(refused.status)
            passing.done()
            return
        meter = Meter()
        meter.let_go_of_body = lambda: self._let_go(passing)
        METER.set(meter)  # each request is a task, with a context of its own
        try:
            await self._app(scope, passing.receive, passing.send)
        finally:
            self._let_go(passing)
            meter.close(lambda: self._settle(passing, meter))
            passing.done()

    def _hold(self, passing: _Passing, more: int) -> None:
        """Take so many more bytes of a body; raises where it, or all of them, are too large."""
        rules = self._rules
        passing.nbytes += more
        passing.held += more
        self._held += more
        if passing.nbytes > rules.largest_body:  # told by the application, which is reading it
            raise HTTPException(413, f"the body exceeds {rules.largest_body} bytes", {"connection": "close"})
        if self._held > rules.all_bodies:
            reason = f"the bodies of all requests exceed {rules.all_bodies} bytes together; try again later"
            raise HTTPException(503, reason, {"connection": "close", "retry-after": "1"})

    def _let_go(self, passing: _Passing) -> None:
        self._held -= passing.held
        passing.held = 0

    def _settle(self, passing: _Passing, meter: Meter) -> None:
        """Charge a request to its key, and let the next one of it come."""
        if self._rules.limits is not None and passing.counts:
            self._rules.limits.charge(passing.key, meter.tokens)
            self._rules.limits.end(passing.key)

    def _admit(self, passing: _Passing) -> None:
        rules, headers = self._rules, passing.headers
        host = _host_of(headers.get("host", ""))
        if host not in self._trusted if self._trusted else (rules.is_local and not is_address(host)):
            reason = "this server does not answer to that Host; the setting server.trusted_hosts names others"
            raise _RefusedError(400, reason, "untrusted_host")
        passing.key = passing.state["key"] = self._name(passing)
        if passing.method == "POST":
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind and kind != "application/json" and not kind.endswith("+json"):
                raise _RefusedError(
                    415, f"a body is application/json, not '{shortened(kind)}'", "unsupported_media_type"
                )
            if not kind and "origin" in headers:  # a page can send this without asking first
                raise _RefusedError(415, "a body is application/json, and its Content-Type says so", None)
            length = headers.get("content-length", "0")
            if length.isdigit() and int(length) > rules.largest_body:
                raise _RefusedError(413, f"the body exceeds {rules.largest_body} bytes", "body_too_large")
        if rules.limits is not None and passing.method == "POST":
            try:
                rules.limits.begin(passing.key)
            except LimitError as error:
                raise _RefusedError(429, str(error), error.code, {"retry-after": str(error.retry_after)}) from None
            passing.counts = True

    def _name(self, passing: _Passing) -> str:
        """Return whose request it is; raises where it needs a key and has none that is right."""
        rules, path = self._rules, passing.path
        if rules.keys is None:
            return ANONYMOUS
        self._reload(rules.keys)
        key = key_in(passing.headers)
        name = None if key is None else rules.keys.name_of(key)
        is_open = path in rules.open_paths or (rules.open_prefix is not None and path.startswith(rules.open_prefix))
        is_read = passing.method in ("GET", "HEAD")
        if is_read and (is_open or (path == "/metrics" and rules.metrics_open)):
            return name or ANONYMOUS
        if name is None or (name == METRICS and path != "/metrics"):
            reason = "this server needs an API key" if key is None else "the API key is not one of this server's"
            raise _RefusedError(401, reason, "invalid_api_key", {"www-authenticate": "Bearer"})
        return name

    def _reload(self, keys: KeyFile) -> None:
        now = time.monotonic()
        if now - self._checked > _RELOAD_SECONDS:
            self._checked = now
            fault = keys.refresh()
            if fault is not None:
                self._warn(f"{fault}. The keys read before stay in force.")


def _host_of(header: str) -> str:
    """Return a Host header's name or address, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


class _RefusedError(Exception):
    def __init__(self, status: int, reason: str, code: str | None, headers: dict[str, str] | None = None) -> None:
        self.status, self.reason, self.code, self.headers = status, reason, code, headers or {}
        super().__init__(reason)


class _Passing:
    """One request on its way: counted, given its id, and logged when it is over."""

    def __init__(
        self,
        log: AccessLog,
        scope: Scope,
        headers: dict[str, str],
        receive: Receive,
        send: Send,
        hold: Callable[[_Passing, int], None],
    ) -> None:
        self._log, self._scope, self.headers = log, scope, headers
        self._receive, self._send, self._hold = receive, send, hold
        self.method, self.path = scope["method"], scope["path"].removeprefix(scope.get("root_path", ""))
        given = headers.get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"
        self.state = scope.setdefault("state", {})
        self.state["request_id"] = self.request_id
        self.key, self.counts = ANONYMOUS, False
        self._began, self._status, self._out = time.monotonic(), 499, 0
        self.nbytes, self.held = 0, 0  # of the body

    async def receive(self) -> Message:
        """Pass a message of the client on; raises where the body is too large."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._hold(self, len(message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        """Pass a message of the server on, with the request's id."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode("latin-1"))]
        else:
            self._out += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, refused: _RefusedError) -> None:
        """Answer a request that goes no further."""
        # `type` is what Anthropic's clients look at
        body = json.dumps({"type": "error", **error_body(refused.reason, refused.status, refused.code)}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **refused.headers}
        if refused.status == 413:
            headers["connection"] = "close"
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refused.status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body})

    def done(self) -> None:
        """Write the request down."""
        address = self._scope.get("client")
        client = f"{address[0]}:{address[1]}" if address else "unix"
        seconds = time.monotonic() - self._began
        numbers = (self._status, seconds, self.nbytes, self._out)
        self._log.write(AccessRecord(self.request_id, client, self.key, self.method, self.path, *numbers))
