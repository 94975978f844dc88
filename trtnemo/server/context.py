"""What all endpoints of one server share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from trtnemo.errors import ConstraintError, EngineUnavailableError, ModelNotFoundError
from trtnemo.formats.format import ReasoningFormat, ToolFormat
from trtnemo.recipe.shared import Sampling
from trtnemo.runtime import EngineClient
from trtnemo.runtime.messages import Compiled, Event, Failed
from trtnemo.server.admission import Admission
from trtnemo.server.metrics import ServerMetrics
from trtnemo.server.responses.store import ResponseStore
from trtnemo.text import ChatTemplate, TextTokenizer


@dataclass
class ServerContext:
    """The engine's client, its text side, the names it answers to, and its counters.

    `chat_template` is None for a checkpoint without one; chat is refused then. `reasoning` and `tools` are the formats
    that the recipe chose, None where output stays as it is; `identity` names recipe and engine for whoever keeps a
    record. `obeys_control_text`: control tokens that stand in messages are obeyed;
    comment_seconds: of silence in a stream, until a comment is sent.
    """

    client: EngineClient
    admission: Admission
    tokenizer: TextTokenizer
    chat_template: ChatTemplate | None
    model_names: tuple[str, ...]
    sampling: Sampling
    reasoning: ReasoningFormat | None
    tools: ToolFormat | None
    metrics: ServerMetrics
    started: int
    identity: dict[str, str]
    obeys_control_text: bool = False
    comment_seconds: float = 15.0
    responses: ResponseStore = field(default_factory=lambda: ResponseStore(0, 0, 0))
    is_draining: Callable[[], bool] = lambda: False

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
