"""From an engine to a listening server, and down again without losing a request."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from trtnemo import __version__
from trtnemo.engine import Engine
from trtnemo.errors import UsageError
from trtnemo.files.digest import code_digest
from trtnemo.front.access.keys import KeyFile
from trtnemo.front.access.limits import KeyLimits
from trtnemo.front.access_log import AccessLog
from trtnemo.front.drain import DrainingServer
from trtnemo.front.exposure import is_loopback, require_guarded
from trtnemo.front.gate import Gate, GateRules
from trtnemo.front.http.descriptors import connections_within
from trtnemo.front.http.protocol import bounded
from trtnemo.front.listen import bind, bind_unix, listen, url_of
from trtnemo.front.traces import traced
from trtnemo.recipe import CpuRecipe
from trtnemo.recipe.runtimes import OwnServer
from trtnemo.runtime import EngineClient
from trtnemo.runtime.line import Line
from trtnemo.runtime.process import EngineProcess, WatchLimits
from trtnemo.server.admission import Admission
from trtnemo.server.app import create_app
from trtnemo.server.context import ServerContext
from trtnemo.server.metrics import ServerMetrics
from trtnemo.server.prompt.text_side import load_text_side
from trtnemo.server.reading.process import ReaderProcess
from trtnemo.server.responses.store import ResponseStore

# a character of a body may take six, escaped; messages bring names and braces of their own
_BYTES_A_CHARACTER, _LEAST_BODY, _MOST_BODY = 6, 1 << 20, 1 << 26
logger = logging.getLogger(__name__)


def serve_engine(
    engine: Engine,
    options: OwnServer,
    ready: Callable[[str], None],
    *,
    names: tuple[str, ...] | None = None,
    interpret: bool = False,
    tell: Callable[[str], None] = logger.warning,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs and return; `ready` gets the base URL.

    `names` are those that the model answers to, in place of the recipe's. `interpret` runs TensorRT plans layer by
    layer on the CPU. The engine runs in a process of its own. `tell` hears what an operator should know.

    Raises UsageError, ServerError, EngineError, MachineError before anything listens for requests.
    """
    keys = KeyFile(Path(options.api_key_file)) if options.api_key_file else None
    if options.unix_socket is None:
        require_guarded(options.host, has_keys=keys is not None, insecure=options.insecure)
    _require_tls_files(options)
    is_reference = interpret or (engine.manifest.runtime == "cpu" and not engine.is_packed)  # a step may take any time
    limits = WatchLimits(step_seconds=None if is_reference else options.step_seconds)
    log = AccessLog(options.access_log)
    line = EngineProcess(engine.directory, interpret=interpret, limits=limits)
    reader = ReaderProcess(engine.directory, obeys_control_text=options.obeys_control_text)
    with _bind(options) as listener:
        try:
            line.load()
            context = load_context(engine, line, options=options, names=names)
            context.reader = reader
            app = guarded(create_app(context, supervise=line.supervise), context, options, keys, log, tell)
            listen(listener)
            server = DrainingServer(
                _config(app, options),
                lambda: ready(_url(options, listener)),
                options.drain_seconds,
                lambda: context.cut("the server is stopping, and this request took too long"),
                tell,
                options.header_seconds,
            )
            context.is_draining = lambda: server.is_draining
            server.run(sockets=[listener])
        finally:
            reader.close()
            line.close()
            log.close()
            if options.unix_socket is not None:
                Path(options.unix_socket).unlink(missing_ok=True)


def guarded(
    app: Any,
    context: ServerContext,
    options: OwnServer,
    keys: KeyFile | None,
    log: AccessLog,
    tell: Callable[[str], None],
) -> Any:
    """Return an application behind the gate that the options ask for."""
    asked = (options.requests_per_minute, options.tokens_per_minute, options.concurrency)
    longest = context.client.budget.max_seq_len * context.tokenizer.longest_token * _BYTES_A_CHARACTER
    rules = GateRules(
        keys=keys,
        limits=KeyLimits(*asked) if any(asked) else None,
        open_paths=("/health", "/ready", "/"),
        open_prefix="/page/",
        metrics_open=options.metrics_open,
        trusted_hosts=options.trusted_hosts,
        is_local=keys is None and options.unix_socket is None and is_loopback(options.host),
        largest_body=max(_LEAST_BODY, min(longest, _MOST_BODY)),
    )

    def count(status: int) -> None:
        context.metrics.requests.labels("refused", str(status)).inc()

    gate = Gate(traced(app, os.environ, __version__), rules, log, tell, count)
    # outermost: a page asks first without a key, and has to be able to read a refusal
    return with_origins(gate, options.cors_origins)


def with_origins(app: Any, origins: tuple[str, ...]) -> Any:
    """Return an application that pages of other origins may call, where some are named."""
    from starlette.middleware.cors import CORSMiddleware

    if not origins:
        return app
    methods = ["GET", "POST", "DELETE"]  # clients send headers of their own, about themselves
    return CORSMiddleware(app, origins, methods, allow_headers=["*"], expose_headers=["x-request-id", "retry-after"])


def _bind(options: OwnServer) -> socket.socket:
    return bind_unix(Path(options.unix_socket)) if options.unix_socket else bind(options.host, options.port)


def _require_tls_files(options: OwnServer) -> None:
    if (options.tls_certificate is None) != (options.tls_key is None):
        raise UsageError("a certificate and its private key are given together, or neither")
    for path in (options.tls_certificate, options.tls_key):
        if path is not None and not Path(path).is_file():
            raise UsageError("is not a file", where=path)
    if options.tls_certificate is not None and options.tls_key is not None:
        import ssl

        try:  # a passphrase is not asked for: nobody may be there
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(options.tls_certificate, options.tls_key, password=lambda: "")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise UsageError(
                f"is no certificate in PEM that goes with the key, without a passphrase ({error})",
                where=options.tls_certificate,
            ) from None


def _config(app: Any, options: OwnServer) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        http=bounded(connections_within(options.max_connections), options.header_seconds, options.body_seconds),
        ws="none",
        root_path=options.root_path,
        ssl_certfile=options.tls_certificate,
        ssl_keyfile=options.tls_key,
        # what is cut after drain_seconds still has to be written
        timeout_graceful_shutdown=int(options.drain_seconds) + 5,
        timeout_keep_alive=int(options.idle_seconds),
        server_header=False,
        proxy_headers=False,  # whoever connects could say that it is somebody else
    )


def _url(options: OwnServer, listener: socket.socket) -> str:
    if options.unix_socket is not None:
        return f"unix:{options.unix_socket}"
    scheme = "https" if options.tls_certificate else "http"
    return url_of(options.host, listener.getsockname()[1], scheme)


def load_context(
    engine: Engine, line: Line, *, options: OwnServer | None = None, names: tuple[str, ...] | None = None
) -> ServerContext:
    """Return everything that the endpoints of an engine share."""
    recipe = engine.recipe
    options = options or OwnServer()
    side = load_text_side(engine, obeys_control_text=options.obeys_control_text)
    client = EngineClient(line, side.tokenizer.stop_token_ids)
    served = names or recipe.served_model_names
    return ServerContext(
        **vars(side),
        client=client,
        admission=Admission(_places(engine, client)),
        model_names=served,
        sampling=recipe.sampling,
        metrics=ServerMetrics(client, {"model": served[0], "recipe": engine.manifest.recipe_name}),
        started=int(time.time()),
        identity={
            "recipe": engine.manifest.recipe_name,
            "engine_digest": engine.manifest.digest,
            "code_digest": code_digest(),
        },
        comment_seconds=options.comment_seconds,
        responses=ResponseStore(options.kept_responses, options.kept_mib << 20, options.kept_minutes * 60),
    )


def _places(engine: Engine, client: EngineClient) -> int | None:
    recipe = engine.recipe
    return client.budget.slots + recipe.cpu.max_waiting if isinstance(recipe, CpuRecipe) else None
