"""One request as an asynchronous stream of text and scores, from the engine loop's thread to the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from trtnemo.errors import EngineError
from trtnemo.runtime import EngineClient, SamplingParams
from trtnemo.runtime.messages import Event, Failed, Finished, PromptReused, PromptScored, ThinkingBudget, TokenGenerated
from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.server.usage import NO_COUNTS, Counts
from trtnemo.text import TextStream, TextTokenizer


@dataclass(frozen=True)
class Delta:
    """What one event adds: text (possibly none), a token's score, the prompt's scores, or the end."""

    text: str = ""
    counts: Counts = NO_COUNTS
    logprob: TokenLogprob | None = None
    prompt_logprobs: tuple[TokenLogprob | None, ...] | None = None
    finish_reason: str | None = None


async def generate(
    client: EngineClient,
    tokenizer: TextTokenizer,
    prompt: list[int],
    params: SamplingParams,
    thinking: ThinkingBudget | None = None,
) -> AsyncGenerator[Delta, None]:
    """Yield deltas until the sequence ends; closing the iterator aborts it. Raises RequestError, EngineError."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event] = asyncio.Queue()
    stops = frozenset(params.stop_token_ids) | (frozenset() if params.ignore_eos else client.stop_token_ids)
    stream = TextStream(tokenizer, params.stop, stops, params.skip_special_tokens, params.include_stop_str_in_output)

    def deliver(event: Event) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    request_id = client.submit(prompt, params, deliver, thinking)
    try:
        while True:
            event = await events.get()
            if isinstance(event, Failed):
                raise EngineError(event.message)
            if isinstance(event, PromptReused):
                yield Delta(counts=Counts(cached=event.tokens))
            elif isinstance(event, PromptScored):
                yield Delta(prompt_logprobs=event.logprobs)
            elif isinstance(event, TokenGenerated):
                text = stream.push(event.token_id)
                counts = Counts(1, event.drafted, int(event.accepted))
                if stream.hit_stop:
                    yield Delta(text, counts, event.logprob, finish_reason="stop")
                    return
                yield Delta(text, counts, event.logprob)
            elif isinstance(event, Finished):
                yield Delta(stream.finish(), finish_reason=event.reason)
                return
    finally:
        client.abort(request_id)
