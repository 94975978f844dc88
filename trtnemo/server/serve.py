"""From an engine to a listening server, and down again without losing a request."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable

import uvicorn

from trtnemo.engine import Engine
from trtnemo.errors import CheckpointError, ServerError
from trtnemo.files.digest import code_digest
from trtnemo.formats.format import ReasoningFormat
from trtnemo.formats.registry import reasoning_formats, tool_formats
from trtnemo.recipe import CpuRecipe
from trtnemo.runtime import EngineClient, load_tokenizer
from trtnemo.runtime.line import Line
from trtnemo.runtime.process import EngineProcess, WatchLimits
from trtnemo.server.admission import Admission
from trtnemo.server.app import create_app
from trtnemo.server.context import ServerContext
from trtnemo.server.metrics import ServerMetrics
from trtnemo.text import ChatTemplate, TextTokenizer

DRAIN_SECONDS = 30
STEP_SECONDS = 60.0
BACKLOG = 1024
KEEP_ALIVE_SECONDS = 75  # longer than clients keep a connection, or one closes under a request that was just sent


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket that does not listen yet; raises ServerError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _taken(host, port, error) from None
    return listener


def listen(listener: socket.socket) -> None:
    """Let clients connect; raises ServerError when another server began to listen meanwhile."""
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise _taken(host, port, error) from None


def _taken(host: str, port: int, error: OSError) -> ServerError:
    return ServerError(
        f"cannot listen on {host}:{port}: {error.strerror or error}",
        remedy="Choose another --port, or stop what uses it",
    )


def serve_engine(
    engine: Engine, host: str, port: int, ready: Callable[[str], None], *, interpret: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs and return; `ready` gets the base URL.

    `interpret` runs TensorRT plans layer by layer on the CPU. The engine runs in a process of its own.

    Raises ServerError, EngineError, MachineError before anything listens for requests.
    """
    line = EngineProcess(engine.directory, interpret=interpret, limits=watch_limits(engine, interpret=interpret))
    with bind(host, port) as listener:
        try:
            line.load()
            context = load_context(engine, line)
            listen(listener)
            config = uvicorn.Config(
                create_app(context, supervise=line.supervise),
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=DRAIN_SECONDS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
            )
            server = _Server(config, lambda: ready(_url(host, listener.getsockname()[1])))
            # uvicorn raises the signal again once it has drained; it must find this, not the default that kills.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: None)
            server.run(sockets=[listener])
        finally:
            line.close()


def watch_limits(engine: Engine, *, interpret: bool) -> WatchLimits:
    """Return how long an engine may take for what it does; interpreted plans may take any time for a step."""
    return WatchLimits(step_seconds=None if interpret else STEP_SECONDS)


def load_context(engine: Engine, line: Line) -> ServerContext:
    """Return everything that the endpoints of an engine share."""
    recipe = engine.recipe
    tokenizer = load_tokenizer(engine)
    reasoning = reasoning_formats()[recipe.parsers.reasoning] if recipe.parsers.reasoning else None
    template = _template(engine, tokenizer, reasoning)
    client = EngineClient(line, tokenizer.stop_token_ids)
    return ServerContext(
        client=client,
        admission=Admission(_places(engine, client)),
        tokenizer=tokenizer,
        chat_template=template,
        model_names=recipe.served_model_names,
        sampling=recipe.sampling,
        reasoning=reasoning,
        tools=tool_formats()[recipe.parsers.tool] if recipe.parsers.tool else None,
        metrics=ServerMetrics(client),
        started=int(time.time()),
        identity={
            "recipe": engine.manifest.recipe_name,
            "engine_digest": engine.manifest.digest,
            "code_digest": code_digest(),
        },
    )


class _Server(uvicorn.Server):
    """uvicorn, telling when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then report."""
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()


def _places(engine: Engine, client: EngineClient) -> int | None:
    recipe = engine.recipe
    return client.budget.slots + recipe.cpu.max_waiting if isinstance(recipe, CpuRecipe) else None


def _template(engine: Engine, tokenizer: TextTokenizer, reasoning: ReasoningFormat | None) -> ChatTemplate | None:
    directory = engine.tokenizer_directory
    if not ChatTemplate.exists(directory, tokenizer):
        return None
    try:
        return ChatTemplate(directory, tokenizer, reasoning=reasoning)
    except CheckpointError as error:
        raise ServerError(str(error)) from None


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
