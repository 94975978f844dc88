"""A frontend's end of the line to the engine loop."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Generator, Sequence

from trtnemo.backends import Budget, Executor
from trtnemo.errors import EngineError, EngineUnavailableError, PromptTooLongError, RequestError
from trtnemo.runtime.checked_prompt import CheckedPrompt, prompt_too_long
from trtnemo.runtime.engine_loop import EngineLoop
from trtnemo.runtime.guide import GrammarCompiler
from trtnemo.runtime.health import Health
from trtnemo.runtime.line import Line
from trtnemo.runtime.messages import (
    Abort,
    Command,
    Compile,
    Compiled,
    EngineLost,
    Event,
    Failed,
    Finished,
    LoopStatistics,
    Started,
    Submit,
    ThinkingBudget,
)
from trtnemo.runtime.options import LoopOptions
from trtnemo.runtime.sampling_params import SamplingParams
from trtnemo.runtime.scheduling.scheduler import CHUNK_UNIT

# Shorter prefixes are run in one piece with the rest: up to a turn's end, and without turns.
LEAST_TURN = 128
LEAST_PLAIN = 512
Handler = Callable[[Event], None]


class EngineClient:
    """Submits requests to an engine and brings each event to its request's handler."""

    def __init__(self, line: Line, stop_token_ids: frozenset[int]) -> None:
        self.budget: Budget = line.budget
        self.stop_token_ids = stop_token_ids
        self._handlers: dict[str, Handler] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._line = line
        line.start(self._dispatch)

    @property
    def statistics(self) -> LoopStatistics:
        """What the engine has done and is doing."""
        return self._line.statistics

    @property
    def health(self) -> Health:
        """Whether the engine runs what is submitted."""
        return self._line.health

    def submit(self, prompt: CheckedPrompt, handler: Handler, thinking: ThinkingBudget | None = None) -> str:
        """Start a request and return its id; `handler` is called on the line's thread and must not block.

        Raises EngineUnavailableError while the engine is down.
        """
        request_id = self._new_request(handler)
        kept = reusable_end(prompt.tokens, self.stop_token_ids)
        self._send(
            request_id,
            Submit(request_id, prompt.tokens, prompt.params, prompt.stop_token_ids, thinking, kept, prompt.grammar),
        )
        return request_id

    def compile(self, grammar: str, handler: Handler) -> str:
        """Have a grammar compiled, and return an id; `handler` hears `Compiled`, or `Failed`.

        Raises EngineUnavailableError while the engine is down.
        """
        request_id = self._new_request(handler)
        self._send(request_id, Compile(request_id, grammar))
        return request_id

    def _send(self, request_id: str, command: Command) -> None:
        try:
            self._line.send(command)
        except Exception:  # nobody would ever hear of it
            with self._lock:
                self._handlers.pop(request_id, None)
            raise

    def _new_request(self, handler: Handler) -> str:
        health = self._line.health
        if not health.is_up:
            raise EngineUnavailableError(f"the engine is not running: {health.reason}", remedy="Send it again later")
        with self._lock:
            request_id = str(next(self._numbers))
            self._handlers[request_id] = handler
        return request_id

    def check(self, prompt: Sequence[int], params: SamplingParams, grammar: str | None = None) -> CheckedPrompt:
        """Return what `submit` takes; raises RequestError when the engine cannot run this."""
        self._require_runnable(prompt, params)
        stops = frozenset(params.stop_token_ids)
        stops = stops if params.ignore_eos else stops | self.stop_token_ids
        return CheckedPrompt(tuple(prompt), params, stops, grammar)

    def _require_runnable(self, prompt: Sequence[int], params: SamplingParams) -> None:
        if not prompt:
            raise RequestError("the prompt is empty", parameter="prompt")
        outside = next((token for token in prompt if not 0 <= token < self.budget.vocab_size), None)
        if outside is not None:
            raise RequestError(
                f"token id {outside} is outside the vocabulary of {self.budget.vocab_size}", parameter="prompt"
            )
        for token in (*params.logit_bias, *params.stop_token_ids, *(params.allowed_token_ids or ())):
            if not 0 <= token < self.budget.vocab_size:
                raise RequestError(f"token id {token} is outside the vocabulary of {self.budget.vocab_size}")
        limit = self.budget.max_seq_len
        if params.min_tokens > limit:
            raise RequestError(
                f"min_tokens {params.min_tokens} exceeds the {limit} tokens of this engine", parameter="min_tokens"
            )
        asked = params.max_tokens or 0
        least = 0 if params.max_tokens == 0 else 1
        if len(prompt) + least > limit:
            raise prompt_too_long(len(prompt), limit)
        if len(prompt) + asked > limit:
            raise PromptTooLongError(
                f"the prompt's {len(prompt)} tokens and max_tokens {asked} exceed the {limit} of this engine",
                parameter="max_tokens",
                remedy="Lower max_tokens",
            )

    def abort(self, request_id: str) -> None:
        """Stop a request; its handler hears nothing more."""
        with self._lock:
            known = self._handlers.pop(request_id, None)
        if known is not None:
            self._line.send(Abort(request_id))

    def cut(self, reason: str) -> None:
        """End every request with an error that gives a reason, and stop what runs of them."""
        with self._lock:
            running = list(self._handlers)
        self._dispatch(EngineLost(reason))
        for request_id in running:
            self._line.send(Abort(request_id))

    def close(self, drain: bool = False) -> None:
        """End the engine and wait for it."""
        self._line.close(drain)

    def _dispatch(self, event: Event | EngineLost) -> None:
        if isinstance(event, EngineLost):
            with self._lock:
                lost, self._handlers = self._handlers, {}
            for request_id, waiting in lost.items():
                waiting(Failed(request_id, event.reason, is_lost=True))
            return
        is_last = isinstance(event, (Finished, Failed, Compiled))
        with self._lock:
            handler = self._handlers.pop(event.request_id, None) if is_last else self._handlers.get(event.request_id)
        if handler is not None:
            handler(event)


def client_over(
    executor: Executor,
    stop_token_ids: frozenset[int],
    options: LoopOptions | None = None,
    compiler: GrammarCompiler | None = None,
) -> EngineClient:
    """Return a client of an engine loop in this process."""
    return EngineClient(EngineLoop(executor, options, compiler), stop_token_ids)


def reusable_end(prompt: Sequence[int], stop_token_ids: frozenset[int]) -> int:
    """Return where a prompt's state is worth keeping: at the end of its last finished turn, for the next prompt.

    Without turns that is a round number of tokens near the end; 0 where the prompt is short.
    """
    places = range(len(prompt) - 2, LEAST_TURN - 2, -1)
    turn = next((place + 1 for place in places if prompt[place] in stop_token_ids), 0)
    return turn or (((len(prompt) - 1) // CHUNK_UNIT * CHUNK_UNIT) if len(prompt) > LEAST_PLAIN else 0)


def iterate(client: EngineClient, prompt: CheckedPrompt) -> Generator[Event, None, None]:
    """Yield the events of one request from its first result on, on the caller's thread; leaving early aborts it.

    Raises EngineError.
    """
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    request_id = client.submit(prompt, events.put)
    try:
        while True:
            event = events.get()
            if isinstance(event, Failed):
                raise EngineError(event.message)
            if not isinstance(event, Started):
                yield event
            if isinstance(event, Finished):
                return
    finally:
        client.abort(request_id)
