"""An application behind the gate, on one address, until it is told to stop."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from trtnemo.errors import UsageError
from trtnemo.files.path_word import local_path
from trtnemo.front.access.keys import KeyFile
from trtnemo.front.access.limits import KeyLimits
from trtnemo.front.access_log import AccessLog
from trtnemo.front.drain import DrainingServer
from trtnemo.front.exposure import is_loopback, require_guarded
from trtnemo.front.gate import Gate, GateRules
from trtnemo.front.http.descriptors import connections_within
from trtnemo.front.http.protocol import bounded
from trtnemo.front.listen import bind, bind_unix, listen, url_of
from trtnemo.front.options import FrontSection
from trtnemo.front.traces import traced

SPARE_SECONDS = 5  # beyond the drain: what is cut still has to be written


@dataclass(frozen=True)
class Behind:
    """What an application wants of the gate before it: what needs no key, the largest body, who counts refusals.

    version: for traces.
    """

    largest_body: int
    version: str
    open_paths: Collection[str] = ("/health", "/ready")
    open_prefix: str | None = None
    count: Callable[[int], None] = lambda status: None


class FrontServer:
    """One address, with the keys, bounds and log that its options ask for; `tell` hears what an operator should know.

    Raises UsageError where the options cannot be kept, before anything is loaded or listens.
    """

    def __init__(self, options: FrontSection, host: str, port: int, tell: Callable[[str], None]) -> None:
        self._options, self._host, self._port, self._tell = options, host, port, tell
        self._keys = KeyFile(local_path(options.api_key_file)) if options.api_key_file is not None else None
        if options.unix_socket is None:
            require_guarded(host, has_keys=self._keys is not None, insecure=options.insecure)
        self._certificate_and_key = _tls_files(options)
        self._log = AccessLog(options.access_log)
        self._server: DrainingServer | None = None

    @property
    def is_draining(self) -> bool:
        """Whether it was told to stop."""
        return self._server is not None and self._server.is_draining

    @property
    def is_hurried(self) -> bool:
        """Whether it was told so twice."""
        return self._server is not None and self._server.force_exit

    @contextmanager
    def bound(self) -> Iterator[socket.socket]:
        """Hold the address, without listening yet; raises ServerError."""
        path = self._options.unix_socket
        with bind_unix(local_path(path)) if path is not None else bind(self._host, self._port) as listener:
            try:
                yield listener
            finally:
                self._log.close()
                if path is not None:
                    local_path(path).unlink(missing_ok=True)

    def run(
        self,
        app: Any,
        behind: Behind,
        listener: socket.socket,
        ready: Callable[[str], None],
        cut: Callable[[], None],
    ) -> None:
        """Serve until SIGTERM or SIGINT, then let what runs end; `ready` gets the URL, `cut` ends what takes long."""
        guarded = self._guarded(app, behind)
        listen(listener)
        options = self._options
        self._server = DrainingServer(
            self._config(guarded),
            lambda: ready(self._url(listener)),
            options.drain_seconds,
            cut,
            self._tell,
            options.header_seconds,
        )
        self._server.run(sockets=[listener])

    def _guarded(self, app: Any, behind: Behind) -> Any:
        options = self._options
        asked = (options.requests_per_minute, options.tokens_per_minute, options.concurrency)
        rules = GateRules(
            keys=self._keys,
            limits=KeyLimits(*asked) if any(asked) else None,
            open_paths=behind.open_paths,
            open_prefix=behind.open_prefix,
            metrics_open=options.metrics_open,
            trusted_hosts=options.trusted_hosts,
            is_local=self._keys is None and options.unix_socket is None and is_loopback(self._host),
            largest_body=behind.largest_body,
        )
        gate = Gate(traced(app, os.environ, behind.version), rules, self._log, self._tell, behind.count)
        # outermost: a page asks first without a key, and has to be able to read a refusal
        return with_origins(gate, options.cors_origins)

    def _config(self, app: Any) -> uvicorn.Config:
        options, (certificate, key) = self._options, self._certificate_and_key
        return uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            http=bounded(connections_within(options.max_connections), options.header_seconds, options.body_seconds),
            ws="none",
            root_path=options.root_path,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            timeout_graceful_shutdown=int(options.drain_seconds) + SPARE_SECONDS,
            timeout_keep_alive=int(options.idle_seconds),
            server_header=False,
            proxy_headers=False,  # whoever connects could say that it is somebody else
        )

    def _url(self, listener: socket.socket) -> str:
        if self._options.unix_socket is not None:
            return f"unix:{self._options.unix_socket}"
        scheme = "https" if self._options.tls_certificate else "http"
        return url_of(self._host, listener.getsockname()[1], scheme)


def with_origins(app: Any, origins: tuple[str, ...]) -> Any:
    """Return an application that pages of other origins may call, where some are named."""
    from starlette.middleware.cors import CORSMiddleware

    if not origins:
        return app
    methods = ["GET", "POST", "DELETE"]  # clients send headers of their own, about themselves
    return CORSMiddleware(app, origins, methods, allow_headers=["*"], expose_headers=["x-request-id", "retry-after"])


def _tls_files(options: FrontSection) -> tuple[str, str] | tuple[None, None]:
    """Return certificate and key, read once; raises UsageError where they do not serve."""
    given = options.tls_certificate, options.tls_key
    if given == (None, None):
        return None, None
    if None in given:
        raise UsageError("a certificate and its private key are given together, or neither")
    files = [local_path(word) for word in given if word is not None]
    for path in files:
        if not path.is_file():
            raise UsageError("is not a file", where=str(path))
    certificate, key = map(str, files)
    try:  # a passphrase is not asked for: nobody may be there
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise UsageError(
            f"is no certificate in PEM that goes with the key, without a passphrase ({error})", where=certificate
        ) from None
    return certificate, key
