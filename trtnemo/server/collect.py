"""Choices of one request: several prompts, several samples of each, run together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from trtnemo.runtime import SamplingParams
from trtnemo.runtime.messages import ThinkingBudget
from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.server.context import ServerContext
from trtnemo.server.generation import Delta, generate
from trtnemo.server.usage import NO_COUNTS, Counts, add_counts


@dataclass(frozen=True)
class Job:
    """One choice to generate: its number in the answer, its prompt, its sampling, and what it may think."""

    index: int
    prompt: list[int]
    params: SamplingParams
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


def make_jobs(
    prompts: Sequence[list[int]], params: Sequence[SamplingParams], thinking: ThinkingBudget | None = None
) -> list[Job]:
    """Return a job per prompt and sample, numbered as the API numbers choices: samples of a prompt side by side."""
    return [
        Job(number * len(params) + sample, prompt, item, thinking)
        for number, prompt in enumerate(prompts)
        for sample, item in enumerate(params)
    ]


async def run_all(context: ServerContext, jobs: list[Job]) -> list[Choice]:
    """Return all choices, finished; raises what the first failing one raises, and aborts the others."""
    choices = [Choice(job) for job in jobs]
    async with aclosing(stream_all(context, jobs)) as deltas:
        async for job, delta in deltas:
            choices[job.index].add(delta)
    return choices


async def stream_all(context: ServerContext, jobs: list[Job]) -> AsyncGenerator[tuple[Job, Delta], None]:
    """Yield every choice's deltas as they arrive; closing the iterator aborts all of them."""
    for job in jobs:
        context.client.check(job.prompt, job.params)
    arrived: asyncio.Queue[tuple[Job, Delta | BaseException | None]] = asyncio.Queue()
    tasks = [asyncio.create_task(_pump(context, job, arrived)) for job in jobs]
    started, first = time.monotonic(), True
    open_jobs = len(jobs)
    try:
        while open_jobs:
            job, item = await arrived.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                open_jobs -= 1
                continue
            if first and item.counts.generated:
                context.metrics.time_to_first_token.observe(time.monotonic() - started)
                first = False
            yield job, item
        context.metrics.request_seconds.observe(time.monotonic() - started)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(
    context: ServerContext, job: Job, arrived: asyncio.Queue[tuple[Job, Delta | BaseException | None]]
) -> None:
    try:
        async with aclosing(
            generate(context.client, context.tokenizer, job.prompt, job.params, job.thinking)
        ) as deltas:
            async for delta in deltas:
                arrived.put_nowait((job, delta))
        arrived.put_nowait((job, None))
    except Exception as error:  # handed to the task that reads the queue
        arrived.put_nowait((job, error))
