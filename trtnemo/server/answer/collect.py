"""Choices of one request: several prompts, several samples of each, run together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from trtnemo.errors import TrtnemoError
from trtnemo.runtime import EngineClient, SamplingParams
from trtnemo.runtime.checked_prompt import CheckedPrompt
from trtnemo.runtime.messages import Event, ThinkingBudget
from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.server.answer.delta import Delta, DeltaReader
from trtnemo.server.answer.timing import Timing
from trtnemo.server.answer.usage import NO_COUNTS, Counts, add_counts
from trtnemo.server.context import ServerContext


@dataclass(frozen=True)
class Job:
    """One choice to generate: its number in the answer, its prompt with its sampling, and what it may think."""

    index: int
    prompt: CheckedPrompt
    thinking: ThinkingBudget | None = None


@dataclass
class Choice:
    """A finished choice."""

    job: Job
    text: str = ""
    counts: Counts = NO_COUNTS
    finish_reason: str = "stop"
    deltas: list[Delta] = field(default_factory=list)
    prompt_logprobs: tuple[TokenLogprob | None, ...] | None = None

    def add(self, delta: Delta) -> None:
        """Count a delta in."""
        self.deltas.append(delta)
        self.text += delta.text
        self.counts = add_counts((self.counts, delta.counts))
        self.prompt_logprobs = delta.prompt_logprobs or self.prompt_logprobs
        self.finish_reason = delta.finish_reason or self.finish_reason

    @property
    def token_ids(self) -> list[int]:
        """The tokens, a stop token included."""
        return [token for delta in self.deltas for token in delta.token_ids]


def make_jobs(
    client: EngineClient,
    prompts: Sequence[list[int]],
    params: Sequence[SamplingParams],
    thinking: ThinkingBudget | None = None,
    grammar: str | None = None,
) -> list[Job]:
    """Return a job per prompt and sample, numbered as the API numbers choices: samples of a prompt side by side.

    Raises RequestError where the engine cannot run one.
    """
    checked = [client.check(prompt, item, grammar) for prompt in prompts for item in params]
    return [Job(number, item, thinking) for number, item in enumerate(checked)]


async def run_all(context: ServerContext, jobs: list[Job]) -> list[Choice]:
    """Return all choices, finished; raises what the first failing one raises, and aborts the others."""
    choices = [Choice(job) for job in jobs]
    async with aclosing(stream_all(context, jobs)) as deltas:
        async for job, delta in deltas:
            choices[job.index].add(delta)
    return choices


async def stream_all(context: ServerContext, jobs: list[Job]) -> AsyncGenerator[tuple[Job, Delta], None]:
    """Yield every choice's deltas as they arrive; closing the iterator aborts all of them. Raises EngineError."""
    arrived: asyncio.Queue[tuple[Job, Event]] = asyncio.Queue()
    readers = {job.index: DeltaReader(context.tokenizer, job.prompt) for job in jobs}
    timings = {job.index: Timing(context.metrics, len(job.prompt.tokens)) for job in jobs}
    requests = {job.index: context.client.submit(job.prompt, _deliver(arrived, job), job.thinking) for job in jobs}
    ended = "abort"  # whoever leaves does not say so
    try:
        while readers:
            job, event = await arrived.get()
            if job.index not in readers:
                continue  # it came after a stop string, before the loop heard of it
            timings[job.index].hear(event)
            delta = readers[job.index].read(event)
            if delta is None:
                continue
            if delta.finish_reason is not None:
                del readers[job.index]
                context.client.abort(requests[job.index])
                timings.pop(job.index).end(delta.finish_reason)
            yield job, delta
    except TrtnemoError:
        ended = "error"
        raise
    finally:
        for timing in timings.values():  # of those that did not come to their end
            timing.end(ended)
        for request_id in requests.values():
            context.client.abort(request_id)


def _deliver(arrived: asyncio.Queue[tuple[Job, Event]], job: Job) -> Callable[[Event], None]:
    """Return what brings a job's events from the engine loop's thread to the queue."""
    loop = asyncio.get_running_loop()
    return lambda event: _put(loop, arrived, (job, event))


def _put(loop: asyncio.AbstractEventLoop, arrived: asyncio.Queue[tuple[Job, Event]], item: tuple[Job, Event]) -> None:
    with suppress(RuntimeError):  # the server's loop is closed: nobody waits any more
        loop.call_soon_threadsafe(arrived.put_nowait, item)
