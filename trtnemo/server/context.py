"""What all endpoints of one server share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from trtnemo.errors import ConstraintError, EngineUnavailableError, ModelNotFoundError
from trtnemo.recipe.shared import Sampling
from trtnemo.runtime import EngineClient
from trtnemo.runtime.messages import Compiled, Event, Failed
from trtnemo.server.admission import Admission
from trtnemo.server.metrics import ServerMetrics
from trtnemo.server.prompt.text_side import TextSide
from trtnemo.server.reading.process import ReaderProcess
from trtnemo.server.responses.store import ResponseStore


@dataclass(kw_only=True)
class ServerContext(TextSide):
    """The engine's client, its text side, the names it answers to, and its counters.

    `identity` names recipe and engine for whoever keeps a record; `reader` reads the bodies that are too long for this
    process, None where there are none. comment_seconds: of silence in a stream, until a comment is sent.
    """

    client: EngineClient
    admission: Admission
    model_names: tuple[str, ...]
    sampling: Sampling
    metrics: ServerMetrics
    started: int
    identity: dict[str, str]
    reader: ReaderProcess | None = None
    comment_seconds: float = 15.0
    responses: ResponseStore = field(default_factory=lambda: ResponseStore(0, 0, 0))
    is_draining: Callable[[], bool] = lambda: False
    _preparing: set[asyncio.Task[Any]] = field(default_factory=set)
    _cut: str | None = None

    @contextmanager
    def cutting(self) -> Iterator[None]:
        """Let `cut` end the running task while its request is still being read; raises EngineUnavailableError then."""
        task = asyncio.current_task()
        if task is None:
            yield
            return
        self._preparing.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self._cut is None:
                raise
            getattr(task, "uncancel", int)()  # Python 3.11 counts
            raise EngineUnavailableError(self._cut, remedy="Send it again later") from None
        finally:
            self._preparing.discard(task)

    def cut(self, reason: str) -> None:
        """End every request, those too that are still being read, with an error that gives a reason."""
        self._cut = reason
        for task in self._preparing:
            task.cancel()
        self.client.cut(reason)

    async def compile(self, grammar: str | None) -> None:
        """Have the grammar of an answer compiled, before the answer begins; raises ConstraintError, EngineError."""
        if grammar is None:
            return
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[Event] = loop.create_future()
        request_id = self.client.compile(grammar, lambda event: _settle(loop, heard, event))
        try:
            event = await heard
        finally:
            self.client.abort(request_id)
        if isinstance(event, Failed):
            raise EngineUnavailableError(event.message, remedy="Send it again later")
        if isinstance(event, Compiled) and event.error is not None:
            raise ConstraintError(event.error)

    def check_model(self, name: str | None) -> str:
        """Return the model's name as asked for; raises ModelNotFoundError."""
        if name is None:
            return self.model_names[0]
        if name not in self.model_names:
            raise ModelNotFoundError(
                f"the model '{name}' does not exist; this server has {', '.join(self.model_names)}", parameter="model"
            )
        return name


def _settle(loop: asyncio.AbstractEventLoop, heard: asyncio.Future[Event], event: Event) -> None:
    def settle() -> None:
        if not heard.done():
            heard.set_result(event)

    with suppress(RuntimeError):  # the server's loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle)
