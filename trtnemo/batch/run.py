"""Run what a batch has not answered yet, many requests at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trtnemo.batch.lines import BatchLine, InputSummary, read_lines
from trtnemo.batch.results import ResultFile
from trtnemo.batch.send import Sender
from trtnemo.endpoint import authorization, served_models
from trtnemo.errors import UsageError

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class BatchOptions:
    """How a batch runs.

    concurrency: requests at once; model: sent in place of what the lines name; patience: seconds without any answer, or
    with 429 alone, after which the run ends; timeout: seconds without a byte after which a request has failed;
    retry_failed: send again what an earlier run got no 2xx for.
    """

    concurrency: int = 64
    model: str | None = None
    patience: float = 120.0
    timeout: float = 3600.0
    retry_failed: bool = False


@dataclass(frozen=True)
class BatchSummary:
    """requests: of the input; resumed, answered: by an earlier run, this one; failed: with no 2xx; seconds: of this."""

    requests: int
    resumed: int
    answered: int
    failed: int
    seconds: float


def run_batch(
    url: str, source: Path, found: InputSummary, output: Path, options: BatchOptions, report: Report
) -> BatchSummary:
    """Answer every request of `source`, of which `found` is what `count_lines` said, in `output`.

    Raises UsageError on bad files, ServerError when the endpoint is down or names other models.
    """
    if source.resolve() == output.resolve():
        raise UsageError("input and output are one file", where=str(source))
    _check_models(url, found.models, options.model)
    started = time.perf_counter()
    with ResultFile(output, found.ids, retry_failed=options.retry_failed) as results:
        resumed = len(results.done)
        report(resumed, len(found.ids))
        waiting = (line for line in read_lines(source) if line.custom_id not in results.done)
        asyncio.run(_run(url, waiting, results, options, lambda done: report(done, len(found.ids))))
        if len(results.done) != len(found.ids):
            raise UsageError("the input changed while it was read", where=str(source), remedy="Run the command again")
        fresh = len(results.done) - resumed
        return BatchSummary(len(found.ids), resumed, fresh, results.failed, time.perf_counter() - started)


async def _run(
    url: str, lines: Iterator[BatchLine], results: ResultFile, options: BatchOptions, report: Callable[[int], None]
) -> None:
    import httpx

    limits = httpx.Limits(max_connections=options.concurrency, max_keepalive_connections=options.concurrency)
    timeout = httpx.Timeout(options.timeout, connect=30.0, pool=None)
    async with httpx.AsyncClient(base_url=url, headers=authorization(), limits=limits, timeout=timeout) as client:
        sender = Sender(client, options.model, options.patience)

        async def work() -> None:
            # one iterator for all: a line is taken between two awaits, so by one worker
            for line in lines:
                results.append(line.custom_id, await sender.send(line))
                report(len(results.done))

        tasks = [asyncio.create_task(work()) for _ in range(options.concurrency)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _check_models(url: str, named: frozenset[str], chosen: str | None) -> None:
    """Ask the endpoint what it serves, before thousands of requests name something else."""
    served = served_models(url)
    missing = sorted(({chosen} if chosen is not None else named) - set(served))
    if missing:
        names = ", ".join(f"'{name}'" if name else "none" for name in missing[:5])
        raise UsageError(
            f"the requests name {names}; the server serves {', '.join(served)}", remedy="Give --model NAME"
        )
