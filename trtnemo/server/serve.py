"""From an engine to a listening server, and down again without losing a request."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trtnemo import __version__
from trtnemo.engine import Engine
from trtnemo.errors import UsageError
from trtnemo.files.digest import code_digest
from trtnemo.files.path_word import local_path
from trtnemo.front.serving import Behind, FrontServer
from trtnemo.recipe import CpuRecipe
from trtnemo.recipe.runtimes import CpuServer, OwnServer
from trtnemo.runtime import EngineClient
from trtnemo.runtime.line import Line
from trtnemo.runtime.options import PrefixPlace
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
_TOO_LONG = "the server is stopping, and this request took too long"
logger = logging.getLogger(__name__)


def serve_engine(
    engine: Engine,
    options: OwnServer,
    ready: Callable[[str], None],
    *,
    names: tuple[str, ...] | None = None,
    interpret: bool = False,
    placed: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = logger.warning,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs and return; `ready` gets the base URL.

    `names` are those that the model answers to, in place of the recipe's. `interpret` runs TensorRT plans layer by
    layer on the CPU. `placed` stands in place of what the engine's recipe says of the machine (threads, memory). The
    engine runs in a process of its own. `tell` hears what an operator should know.

    Raises UsageError, ServerError, EngineError, MachineError before anything listens for requests.
    """
    front = FrontServer(options, options.host, options.port, tell)
    is_reference = interpret or (engine.manifest.runtime == "cpu" and not engine.is_packed)  # a step may take any time
    limits = WatchLimits(step_seconds=None if is_reference else options.step_seconds)
    line = EngineProcess(
        engine.directory,
        interpret=interpret,
        placed=placed,
        place=_prefix_place(options, engine.directory),
        writing_seconds=options.drain_seconds,
        limits=limits,
    )
    reader = ReaderProcess(engine.directory, obeys_control_text=options.obeys_control_text)
    with front.bound() as listener:
        try:
            line.load()
            if line.stages:
                told = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in line.stages)
                tell(f"the engine was loaded: {told}")
            context = load_context(engine, line, options=options, names=names)
            context.reader, context.is_draining = reader, lambda: front.is_draining
            app = create_app(context, supervise=line.supervise)
            front.run(app, _behind(context), listener, ready, lambda: context.cut(_TOO_LONG))
        finally:
            reader.close()
            line.close(drain=not front.is_hurried)


def _prefix_place(options: OwnServer, engine: Path) -> PrefixPlace | None:
    if not isinstance(options, CpuServer) or options.prefix_dir is None:
        return None
    directory = local_path(options.prefix_dir)
    if Path(os.path.realpath(directory)).is_relative_to(os.path.realpath(engine)):
        raise UsageError(
            "lies in the engine, which takes no file that its build did not write",
            where=str(directory),
            remedy="Give --prefix-dir a directory of its own",
        )
    return PrefixPlace(directory, int(options.prefix_dir_gib * (1 << 30)))


def _behind(context: ServerContext) -> Behind:
    longest = context.max_seq_len * context.tokenizer.longest_token * _BYTES_A_CHARACTER
    return Behind(
        largest_body=max(_LEAST_BODY, min(longest, _MOST_BODY)),
        version=__version__,
        open_paths=("/health", "/ready", "/"),
        open_prefix="/page/",
        count=lambda status: context.metrics.requests.labels("refused", str(status)).inc(),
    )


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
