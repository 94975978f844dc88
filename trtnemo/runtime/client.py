"""A frontend's end of the line to the engine loop."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Generator, Sequence

from trtnemo.backends import Budget, Executor
from trtnemo.errors import EngineError, PromptTooLongError, RequestError
from trtnemo.runtime.checked_prompt import CheckedPrompt
from trtnemo.runtime.engine_loop import EngineLoop
from trtnemo.runtime.messages import Abort, Event, Failed, Finished, LoopStatistics, Shutdown, Submit, ThinkingBudget
from trtnemo.runtime.options import LoopOptions
from trtnemo.runtime.sampling_params import SamplingParams
from trtnemo.runtime.scheduler import CHUNK_UNIT

# Shorter prefixes are run in one piece with the rest: up to a turn's end, and without turns.
LEAST_TURN = 128
LEAST_PLAIN = 512
Handler = Callable[[Event], None]


class EngineClient:
    """Starts an engine loop, submits requests to it and brings each event to its request's handler."""

    def __init__(self, executor: Executor, stop_token_ids: frozenset[int], options: LoopOptions | None = None) -> None:
        options = options or LoopOptions()
        self.budget: Budget = executor.budget
        self.stop_token_ids = stop_token_ids
        self._handlers: dict[str, Handler] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._loop = EngineLoop(executor, self._dispatch, options)
        self._loop.start()

    @property
    def statistics(self) -> LoopStatistics:
        """What the loop has done and is doing."""
        return self._loop.statistics

    def submit(self, prompt: CheckedPrompt, handler: Handler, thinking: ThinkingBudget | None = None) -> str:
        """Start a request and return its id; `handler` is called on the loop's thread and must not block."""
        with self._lock:
            request_id = str(next(self._numbers))
            self._handlers[request_id] = handler
        kept = reusable_end(prompt.tokens, self.stop_token_ids)
        self._loop.send(Submit(request_id, prompt.tokens, prompt.params, prompt.stop_token_ids, thinking, kept))
        return request_id

    def check(self, prompt: Sequence[int], params: SamplingParams) -> CheckedPrompt:
        """Return what `submit` takes; raises RequestError when the engine cannot run this."""
        self._require_runnable(prompt, params)
        stops = frozenset(params.stop_token_ids)
        return CheckedPrompt(tuple(prompt), params, stops if params.ignore_eos else stops | self.stop_token_ids)

    def _require_runnable(self, prompt: Sequence[int], params: SamplingParams) -> None:
        if not prompt:
            raise RequestError("the prompt is empty", parameter="prompt")
        outside = next((token for token in prompt if not 0 <= token < self.budget.vocab_size), None)
        if outside is not None:
            raise RequestError(
                f"token id {outside} is outside the vocabulary of {self.budget.vocab_size}", parameter="prompt"
            )
        for token in (*params.logit_bias, *params.stop_token_ids):
            if not 0 <= token < self.budget.vocab_size:
                raise RequestError(f"token id {token} is outside the vocabulary of {self.budget.vocab_size}")
        limit = self.budget.max_seq_len
        asked = params.max_tokens or 0
        least = 0 if params.max_tokens == 0 else 1
        if len(prompt) + least > limit:
            raise PromptTooLongError(
                f"the prompt has {len(prompt)} tokens; this engine holds {limit} with the answer",
                parameter="prompt",
                remedy="Shorten the prompt",
            )
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
            self._loop.send(Abort(request_id))

    def close(self, drain: bool = False) -> None:
        """Shut the loop down and wait for it."""
        self._loop.send(Shutdown(drain))
        self._loop.join(timeout=60)

    def _dispatch(self, event: Event) -> None:
        is_last = isinstance(event, (Finished, Failed))
        with self._lock:
            handler = self._handlers.pop(event.request_id, None) if is_last else self._handlers.get(event.request_id)
        if handler is not None:
            handler(event)


def reusable_end(prompt: Sequence[int], stop_token_ids: frozenset[int]) -> int:
    """Return where a prompt's state is worth keeping: at the end of its last finished turn, for the next prompt.

    Without turns that is a round number of tokens near the end; 0 where the prompt is short.
    """
    places = range(len(prompt) - 2, LEAST_TURN - 2, -1)
    turn = next((place + 1 for place in places if prompt[place] in stop_token_ids), 0)
    return turn or (((len(prompt) - 1) // CHUNK_UNIT * CHUNK_UNIT) if len(prompt) > LEAST_PLAIN else 0)


def iterate(client: EngineClient, prompt: CheckedPrompt) -> Generator[Event, None, None]:
    """Yield the events of one request on the caller's thread; leaving early aborts it. Raises EngineError."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    request_id = client.submit(prompt, events.put)
    try:
        while True:
            event = events.get()
            if isinstance(event, Failed):
                raise EngineError(event.message)
            yield event
            if isinstance(event, Finished):
                return
    finally:
        client.abort(request_id)
