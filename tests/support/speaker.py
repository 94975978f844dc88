"""A server in this process over an executor that says what a test tells it to."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import uvicorn

from tests.support.formats import REASONING, TOOLS
from trtnemo.backends import Budget, Executor, Segment, Snapshot, StepBatch, StepResult
from trtnemo.checkpoint.hub.source import EMBEDDED
from trtnemo.front.listen import bind
from trtnemo.recipe.shared import Sampling
from trtnemo.runtime import LoopOptions, client_over
from trtnemo.server.admission import Admission
from trtnemo.server.app import create_app
from trtnemo.server.context import ServerContext
from trtnemo.server.metrics import ServerMetrics
from trtnemo.text import ChatTemplate, TextTokenizer

TOKENIZER = TextTokenizer(EMBEDDED, 2)
END = 11  # <|im_end|>
# for all tests: a client of its own takes each request 50 ms, for certificates that nobody asks for
HTTP = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=30)


@dataclass(frozen=True)
class Standing:
    """A snapshot: how far a sequence was."""

    length: int
    nbytes: int = 1

    def swap_out(self) -> None:
        """Share nothing."""


class Speaker:
    """Says `text` after every prompt and ends the turn, or breaks when it has said `breaks_after` tokens of it.

    `others`: what sequences say that run beside the first one. From token `slow_after` of the first sequence on, every
    step takes 50 ms: a request that is to be ended meanwhile is, on however busy a machine.
    """

    computes_here = True

    def __init__(
        self,
        text: str,
        breaks_after: int | None = None,
        slots: int = 8,
        max_seq_len: int = 512,
        others: str | None = None,
        slow_after: int | None = None,
    ) -> None:
        self.scripts = [[*TOKENIZER.encode(said), END] for said in (text, text if others is None else others)]
        self.lengths: dict[int, int] = {}
        self.breaks_after = breaks_after
        self.slow_after = slow_after
        self.budget = Budget(slots, max_seq_len, 512, 0, 2048)
        self.said: dict[int, int] = defaultdict(int)
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def forward(self, batch: StepBatch) -> StepResult:
        """Return logits that leave no choice."""
        batch.validate()
        self.may_go_on.wait(60)
        if self.slow_after is not None and self.said[0] >= self.slow_after:
            time.sleep(0.05)
        self.lengths |= {segment.slot: segment.position + segment.length for segment in batch.segments}
        logits = np.full((len(batch.logit_rows), self.budget.vocab_size), -50, np.float32)
        for number, row in enumerate(batch.logit_rows):
            slot = next(segment.slot for segment in batch.segments if row in range(*segment.rows.indices(1 << 30)))
            place = self.said[slot]
            if place == self.breaks_after:
                raise RuntimeError("the machine caught fire")
            script = self.scripts[slot > 0]
            logits[number, script[min(place, len(script) - 1)]] = 50
            self.said[slot] += 1
        return StepResult(logits, np.empty((0, 1), np.float32))

    def release(self, slot: int) -> None:
        """Begin anew in this slot."""
        self.said.pop(slot, None)

    def snapshot(self, slot: int) -> Standing:
        """Return how far a sequence is; what it says depends on its slot alone."""
        return Standing(self.lengths[slot])

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Take anything."""

    def has_room(self, segments: list[Segment]) -> bool:
        """Return True."""
        return True

    def can_restore(self, snapshot: Snapshot) -> bool:
        """Return True."""
        return True


@contextmanager
def context_over(
    speaker: Speaker, most: int | None = None, options: LoopOptions | None = None, **changes: Any
) -> Iterator[ServerContext]:
    """Yield a server's context over a speaker, with `most` places, and fields of it changed."""
    client = client_over(cast("Executor", speaker), TOKENIZER.stop_token_ids, options)
    fields = {
        "client": client,
        "admission": Admission(most),
        "tokenizer": TOKENIZER,
        "chat_template": ChatTemplate(Path("/nowhere"), TOKENIZER, reasoning=REASONING),
        "model_names": ("speaker", "its-other-name"),
        "sampling": Sampling(),
        "reasoning": REASONING,
        "tools": TOOLS,
        "max_seq_len": speaker.budget.max_seq_len,
        "vocab_size": speaker.budget.vocab_size,
        "metrics": ServerMetrics(client),
        "started": 1_700_000_000,
        "identity": {"recipe": "speaker"},
    }
    try:
        yield ServerContext(**{**fields, **changes})
    finally:
        speaker.may_go_on.set()
        client.close()


class Stage:
    """The one application that this process serves now."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let it answer."""
        await self.app(scope, receive, send)


STAGE = Stage()


@cache
def stage_url() -> str:
    """Start this process's server, which ends with it, and return its URL: to stop one takes uvicorn 0.1 seconds."""
    ready = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            ready.set()

    listener = bind("127.0.0.1", 0)
    server = Server(uvicorn.Config(STAGE, log_level="critical", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    assert ready.wait(30)
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def serving(context: ServerContext) -> Iterator[str]:
    """Yield the URL of a server of this process; one is served at a time."""
    assert STAGE.app is None
    STAGE.app = create_app(context)
    try:
        yield stage_url()
    finally:
        STAGE.app = None


@contextmanager
def speaking(text: str, most: int | None = None, **changes: Any) -> Iterator[str]:
    """Yield the URL of a server that says a text."""
    with context_over(Speaker(text), most, **changes) as context, serving(context) as url:
        yield url
